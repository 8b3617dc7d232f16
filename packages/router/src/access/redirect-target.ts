import { localPath } from "./local-path.ts"

/** In characters: it travels in a signed value, which is bounded. */
const MAX_LENGTH = 1_024

/**
 * Where a visitor is sent by a link: `value` as it is if it is a path of an app on the same hostname, by the table of {@link localPath}, here with
 * its fragment; else `/`. A path under the platform's own `prefix` is refused, too: it would sign the visitor out, or in again.
 */
export const redirectTarget = (value: unknown, prefix: string): string => {
  if (typeof value !== "string" || value.length > MAX_LENGTH) return "/"
  const path = /^[^#]*/.exec(value)![0]
  if (localPath(path) !== path || !/^[\x21-\x7e]*$/.test(value)) return "/"
  return new URL(path, "http://local.invalid").pathname.startsWith(prefix) ? "/" : value
}
