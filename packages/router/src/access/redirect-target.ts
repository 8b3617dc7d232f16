/** Longer paths are sent to `/`: they travel in signed values, which are bounded. */
const MAX_LENGTH = 1_024

/**
 * Where a visitor is sent on this hostname after a sign-in or a link: `value` as it is if it can only be a path of an app on the same
 * hostname, else `/`. A path under the platform's own `prefix` is none: it would sign the visitor out, or in again.
 *
 * | value                                               | becomes |
 * | --------------------------------------------------- | ------- |
 * | `/docs?q=1#top`, `/`                                | itself  |
 * | `//evil.example`, `/\evil.example`, `/%2Fevil`      | `/`     |
 * | `https://evil.example`, `javascript:…`, `docs`, ``  | `/`     |
 * | `/.//evil.example`, `/a/..//evil.example`           | `/`     |
 * | a space, a control, a tab, anything but ASCII       | `/`     |
 * | `/_/sign-out`, `/a/../_/sign-out`                   | `/`     |
 * | more than 1 024 characters                          | `/`     |
 */
export const redirectTarget = (value: unknown, prefix: string): string => {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return "/"
  // Browsers take a backslash for a slash, and drop tabs and line breaks (WHATWG URL §4.4).
  if (!/^\/(?!\/|%2f|%5c)[\x21-\x5b\x5d-\x7e]*$/i.test(value)) return "/"
  const { origin, pathname } = new URL(value, BASE)
  return origin !== BASE || pathname.startsWith("//") || pathname.startsWith(prefix) ? "/" : value
}

const BASE = "https://hostname.invalid"
