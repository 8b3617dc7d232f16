/** Where an engine listens. */
export interface EngineAddress {
  readonly socketPath?: string
  /** The host that published ports are reached at; an IPv6 address without brackets. */
  readonly host: string
  readonly port?: string
  /** The scheme is `https`: TLS even without certificates of our own. */
  readonly secure?: boolean
}

/** What {@link parseEngineAddress} accepts, for error messages. */
export const ENGINE_ADDRESSES = "unix:///path or tcp://host:port; ssh:// and npipe:// are not supported"

/**
 * Reads an engine's address as the docker command does: `unix:///path`, `tcp://host[:port]`, `http://` or `https://`.
 * `undefined` for anything else: a guess would send requests elsewhere.
 */
export const parseEngineAddress = (text: string): EngineAddress | undefined => {
  // A path is taken as it is: no escapes, no query.
  if (/^unix:\/\/\/[^\0]/.test(text)) return { socketPath: text.slice("unix://".length), host: "127.0.0.1" }
  const found = /^(tcp|https?):\/\/(?:\[([0-9a-f:.]+)\]|([0-9a-z._-]+))(?::(\d{1,5}))?\/?$/i.exec(text)
  if (found === null || Number(found[4] ?? 0) > 65_535) return undefined
  const [, scheme = "", v6, name = "", port] = found
  return {
    host: v6 ?? name,
    ...(port !== undefined && { port }),
    secure: scheme.toLowerCase() === "https",
  }
}
