/** In characters. It travels in a URL of the control plane, where each may be written as three. */
export const MAX_PATH = 2_048

/** Visible ASCII without the backslash, which browsers read as a slash (WHATWG URL §4.4), and `#`, which no request has. */
const PLAIN = /^\/[\x21\x22\x24-\x5b\x5d-\x7e]*$/
/** What some reader takes for the `//` that begins another host, once it has undone an escape. */
const BEGINS_A_HOST = /^\/(?:\/|%2f|%5c)/i

/**
 * A path and query to which a visitor may be sent on the host that they are on, from text that anybody may have written: itself, or `/`
 * for what is no path there: another scheme or host (`//evil`, `/\evil`, `https://evil`), a control character, a space, a path
 * that becomes `//…` when its dots are resolved, and more than 2 048 characters. A fragment is cut off.
 */
export const localPath = (text: string | null | undefined): string => {
  const path = text?.split("#", 1)[0] ?? ""
  if (path.length > MAX_PATH || !PLAIN.test(path) || BEGINS_A_HOST.test(path)) return "/"
  const { host, pathname } = new URL(path, "http://local.invalid")
  return host === "local.invalid" && !BEGINS_A_HOST.test(pathname) ? path : "/"
}
