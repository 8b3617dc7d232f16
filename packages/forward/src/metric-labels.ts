/*
 * The labels of metrics. Every label has a closed set of values, so that neither a client nor a tenant can create time series: no
 * hostnames, no machines, no paths, and only the common methods.
 */

const METHODS = new Set(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])

/** The label of a method: itself if it is common, else `other`. */
export const methodLabel = (method: string): string => (METHODS.has(method) ? method : "other")

/** The label of a status: `2xx`; `none` if the connection closed before there was one. */
export const statusLabel = (status: number): string =>
  status >= 100 && status <= 599 ? STATUS_CLASSES[Math.trunc(status / 100)]! : "none"

const STATUS_CLASSES = ["", "1xx", "2xx", "3xx", "4xx", "5xx"]

/** The label of anything else: itself if it is one of `values`, else `other`. */
export const closedLabel = (values: Iterable<string>): ((value: unknown) => string) => {
  const known = new Set<unknown>(values)
  return (value) => (known.has(value) ? (value as string) : "other")
}
