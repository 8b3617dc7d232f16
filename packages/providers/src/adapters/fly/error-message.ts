import type { VendorResponse } from "../../adapter-kit/vendor-api.ts"

/**
 * What an error response of the Machines API says went wrong, else its whole body. `error` is a sentence, or only a code beside
 * a sentence in `message`: so both count.
 */
export const errorMessage = ({ json, text }: Pick<VendorResponse, "json" | "text">): string => {
  const { error, message } = errorFields(json)
  const said = [error, message].filter((part) => typeof part === "string")
  return said.length === 0 ? text : said.join(": ")
}

/** The fields of an error response, which may be missing or of any type. */
export const errorFields = (
  json: unknown,
): { readonly error?: unknown; readonly message?: unknown; readonly status?: unknown } =>
  typeof json === "object" && json !== null ? json : {}
