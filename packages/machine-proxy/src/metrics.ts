import type { ForwardErrorTag } from "@project-ingress/forward"
import { machineProxyErrors } from "./error-rows.ts"

/*
 * What metrics are labelled with. Every label has a small closed set of values, so that no client can make new time series:
 * neither hosts nor paths, and of methods only the common ones.
 */

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
const CODES = new Set<string>(Object.values(machineProxyErrors).map(({ code }) => code))

/** A method's label: itself, or `other`. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : "other")

/** A status' label: `2xx`; `none` when the connection broke off before one. */
export const statusLabel = (status: number): string =>
  status >= 100 && status <= 599 ? `${Math.trunc(status / 100)}xx` : "none"

/** A stable code's label: itself, or `other`. */
export const codeLabel = (code: string): string => (CODES.has(code) ? code : "other")

/** The stable code of a failure's tag. */
export const tagLabel = (tag: ForwardErrorTag): string => machineProxyErrors[tag].code
