import { checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { acceptSignal } from "../../adapter-kit/option-checks.ts"
import type { Machine } from "../../contract/machine-provider.ts"
import { daytonaApi } from "./api.ts"
import type { DaytonaOptions } from "./api.ts"

/** A link that opens one port of a sandbox for a while. */
export interface SignedPreview {
  /** The whole URL is a secret: its host contains the token. */
  readonly url: string
  /** When it ends, in ms since 1970, by this process's clock. */
  readonly expiresAt: number
}

/** Which port {@link signedPreviewUrl} opens, and for how long. */
export interface SignedPreviewRequest {
  /** The port inside the sandbox, 1 to 65535. */
  readonly port: number
  /** How long the link works, in ms: whole seconds from 1 000 to 86 400 000. Default 60 000. */
  readonly lifetimeMs?: number
  /** Ends the request to the API; it then rejects with the signal's reason. */
  readonly signal?: AbortSignal
}

/**
 * A link for a browser, straight to a port of a private sandbox: it bypasses the machine proxy with its tickets and its list
 * of ports. Whoever has the URL is let in until it ends, across restarts. The token is in the host, so it is in logs, in
 * `Referer` fields and in the names of certificates too: give it to one person, never to a page.
 *
 * Rejects with a `ProviderError`, with a `RangeError` for a port or a lifetime out of range, or with a `TypeError` for other
 * invalid options.
 */
export const signedPreviewUrl = async (
  options: DaytonaOptions,
  machine: Machine,
  request: SignedPreviewRequest,
): Promise<SignedPreview> => {
  checkOptions(
    "signedPreviewUrl",
    request,
    { port: acceptNumber, lifetimeMs: acceptNumber, signal: acceptSignal },
    { required: ["port"], at: "request" },
  )
  const { port, lifetimeMs = 60_000, signal = new AbortController().signal } = request
  if (!Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new RangeError("signedPreviewUrl: request.port must be an integer from 1 to 65535")
  }
  const seconds = lifetimeMs / 1_000
  if (!Number.isInteger(seconds) || seconds < 1 || seconds > 86_400) {
    throw new RangeError("signedPreviewUrl: request.lifetimeMs must be whole seconds, from 1000 to 86400000")
  }
  const api = daytonaApi("signedPreviewUrl", options)
  const requestedAt = Date.now()
  const { url } = await api.request(machine, (sandbox) => api.wire.signedPreviewUrl(sandbox, port, seconds), signal)
  return { url: api.originOf(url, machine), expiresAt: requestedAt + lifetimeMs }
}

// The range has errors of its own.
const acceptNumber: OptionCheck = (value) => (typeof value === "number" ? undefined : "a number")
