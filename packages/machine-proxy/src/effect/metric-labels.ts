import type { ForwardErrorTag } from "@project-ingress/forward"
import { machineProxyErrors } from "../error-rows.ts"

/*
 * The labels of metrics. Every label has a small closed set of values, so that no client can create time series: no
 * hosts, no paths, and only the common methods.
 */

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
const CODES = new Set<string>(Object.values(machineProxyErrors).map(({ code }) => code))

/** The label of a method: itself if it is common, else `other`. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : "other")

/** The label of a status: `2xx`; `none` if the connection closed before there was one. */
export const statusLabel = (status: number): string =>
  status >= 100 && status <= 599 ? `${Math.trunc(status / 100)}xx` : "none"

/** The label of a stable code: itself if it is one of the proxy's, else `other`. */
export const codeLabel = (code: string): string => (CODES.has(code) ? code : "other")

/** The label of a failure's tag: its stable code. */
export const tagLabel = (tag: ForwardErrorTag): string => machineProxyErrors[tag].code
