import type { VendorResponse } from "../../adapter-kit/vendor-api.ts"

/** What an error response of the Machines API says went wrong, else its whole body. */
export const errorMessage = ({ json, text }: Pick<VendorResponse, "json" | "text">): string => {
  const { error, message } = errorFields(json)
  return typeof error === "string" ? error : typeof message === "string" ? message : text
}

/** The fields of an error response, which may be missing or of any type. */
export const errorFields = (
  json: unknown,
): { readonly error?: unknown; readonly message?: unknown; readonly status?: unknown } =>
  typeof json === "object" && json !== null ? json : {}
