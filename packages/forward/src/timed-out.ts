/**
 * Whether an error says that something took too long, or one of its causes does: by the name that the web gives it, or by a code
 * (`ETIMEDOUT`, `UND_ERR_CONNECT_TIMEOUT`, `ConnectionTimeout`). Runtimes have no other way to say so.
 */
export const isTimedOut = (error: unknown): boolean => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { name, code, cause } = at as { readonly name?: unknown; readonly code?: unknown; readonly cause?: unknown }
    if (name === "TimeoutError" || (typeof code === "string" && /TIMED?_?OUT/i.test(code))) return true
    at = cause
  }
  return false
}
