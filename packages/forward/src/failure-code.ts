/** The `code` of an error, or of its causes, if it looks like one: `ECONNREFUSED`. Safe to show: never a message. */
export const failureCode = (error: unknown): string | undefined => {
  for (let at = error, depth = 0; depth < 4 && typeof at === "object" && at !== null; depth++) {
    const { code, cause } = at as { readonly code?: unknown; readonly cause?: unknown }
    if (typeof code === "string" && /^[A-Za-z][A-Za-z0-9_]{1,60}$/.test(code)) return code
    at = cause
  }
  return undefined
}
