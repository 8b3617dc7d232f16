/**
 * Whether a text is an origin: `http://127.0.0.1:32769`. Checked before any parser sees it, because a `\`, a path or
 * credentials would send requests elsewhere.
 */
export const isOrigin = (text: unknown): text is string =>
  typeof text === "string" && /^https?:\/\/[^/\\?#@\s]+$/i.test(text) && URL.canParse(text)

/** What `isOrigin` accepts, for error messages. */
export const AN_ORIGIN = "http:// or https:// with a host and perhaps a port, and nothing else"
