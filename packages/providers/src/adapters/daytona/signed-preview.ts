import { daytonaApi } from "./api.ts"
import type { DaytonaOptions } from "./api.ts"
import type { Machine } from "../../contract/machine-provider.ts"

export interface SignedPreview {
  /** The whole URL is a secret: its host bears the token. */
  readonly url: string
  /** When it ends, in ms since 1970, as this process's clock has it. */
  readonly expiresAt: number
}

export interface SignedPreviewRequest {
  /** The port inside the sandbox, 1 to 65535. */
  readonly port: number
  /** How long the link works, in ms: whole seconds from 1 000 to 86 400 000. 60 000. */
  readonly lifetimeMs?: number
  readonly signal?: AbortSignal
}

/**
 * A link for a browser, straight to a port of a private sandbox: around the machine's proxy, its tickets and its list of
 * ports. Whoever has the URL is in, until it ends; it survives a restart. The token is in the host, so it is in logs, in
 * `Referer`s and in certificates' names too: give it to one person, never to a page. Rejects with a `ProviderError`; throws a
 * `RangeError` for a port or a lifetime out of range.
 */
export const signedPreviewUrl = async (
  options: DaytonaOptions,
  machine: Machine,
  request: SignedPreviewRequest,
): Promise<SignedPreview> => {
  const { port, lifetimeMs = 60_000, signal = new AbortController().signal } = request
  if (!Number.isInteger(port) || port < 1 || port > 65_535) throw new RangeError("port must be an integer, 1 to 65535")
  const seconds = lifetimeMs / 1_000
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400) {
    throw new RangeError("lifetimeMs must be whole seconds from 1000 to 86400000")
  }
  const api = daytonaApi(options)
  const askedAt = Date.now()
  const { url } = await api.ask(machine, (sandbox) => api.wire.signedPreviewUrl(sandbox, port, seconds), signal)
  return { url: api.originOf(url, machine), expiresAt: askedAt + lifetimeMs }
}
