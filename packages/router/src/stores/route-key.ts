import type { RouteKey } from "./record.ts"

/** The longest key, in UTF-16 units: a hostname has at most 253. */
export const MAX_KEY_LENGTH = 512

/** Whether a hostname can lead to a key, as `candidates` makes them: in lower case, of a domain perhaps with `<port>:` or `*.` before it. */
export const isRouteKey = (key: unknown): key is RouteKey =>
  typeof key === "string" &&
  key.length <= MAX_KEY_LENGTH &&
  (/^p:[a-z\d]+(?:-[a-z\d]+)*$/.test(key) ||
    /^m:[a-z\d]+(?:[_-][a-z\d]+)*$/.test(key) ||
    /^d:(?:[1-9]\d{0,4}:|\*\.)?[a-z\d-]+(?:\.[a-z\d-]+)*$/.test(key))
