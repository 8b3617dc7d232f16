import { retryAfterMs } from "../../adapter-kit/retry-after.ts"
import { MachineNotFound, ProviderRateLimited, ProviderUnavailable, machineRef } from "../../contract/errors.ts"
import type {
  Endpoint,
  Machine,
  MachineProvider,
  MachineState,
  MachineStatus,
  Verdict,
} from "../../contract/machine-provider.ts"
import { flyInterceptedHeaders } from "./intercepted-headers.ts"
import { spritesApi } from "./sprites-api.ts"
import type { SpritesOptions } from "./sprites-api.ts"

export type { SpritesOptions } from "./sprites-api.ts"

/**
 * Sprites of Fly.io. Runs everywhere. `externalId` is a Sprite's name. No metadata.
 *
 * A Sprite's URL leads to its port 8080, where the machine proxy must listen, as a service of the Sprite: only services are
 * started again when it wakes. A request to the URL wakes it, and an open connection keeps it awake.
 *
 * A public URL wants nothing, and the ticket is the only guard: anyone who knows it can wake the Sprite. A private one wants
 * `urlToken`. Before you make a private URL public, stop its requests for a minute: until its endpoint is resolved again they bear
 * the token, which the edge of a public URL passes on.
 *
 * An endpoint costs one API request and is used for a minute. Its epoch is the Sprite's id, which another Sprite
 * under the same name does not share; what a restart changes is behind the edge. The edge holds a request to a Sprite in which
 * nothing listens on 8080 until it times out.
 *
 * @throws {TypeError} for unknown, missing or invalid options, naming the option and what it accepts
 *
 * @example
 * sprites({ token: process.env.SPRITES_TOKEN })
 */
export const sprites = (options: SpritesOptions): MachineProvider => {
  const api = spritesApi(options)
  const { urlToken, apiBase = "https:" } = options
  const isSecure = /^https:/i.test(apiBase)

  return {
    type: "sprites",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      // Not known of the edge of Sprites.
      carries: { trailers: false, duplex: false },
      wake: "request",
      ports: "any",
      // A private URL's edge reads the first one. Fly's proxy, which obeys the others, is in front of it.
      interceptedHeaders: ["authorization", ...flyInterceptedHeaders],
    },

    async resolve(machine, { signal }): Promise<Endpoint> {
      const { id, url, url_settings: settings } = await api.sprite(machine, signal)
      const origin = originOf(url, isSecure)
      if (origin === undefined) throw unavailable(machine, "invalid response")
      const steady = { origin, epoch: id, ttlMs: 60_000 }
      if (settings.auth === "public") return steady
      // A token is sent to nobody who is not known to want it, and to keep it.
      if (settings.auth !== "sprite") throw unavailable(machine, "its URL's auth is neither public nor sprite")
      if (urlToken === undefined) {
        throw unavailable(machine, "its URL is private: give sprites a urlToken, or make the URL public")
      }
      return { ...steady, headers: { authorization: `Bearer ${urlToken}` } }
    },

    classify({ status, header }, machine): Verdict {
      // Without a token that it accepts, the edge of a private URL sends everyone to a sign-in.
      const isSignIn = /^https:\/\/(?:[a-z0-9-]+\.)*sprites\.dev\/auth\//.test(header("location") ?? "")
      if (status === 401 || (status >= 300 && status < 400 && isSignIn)) return "refresh-credentials"
      if (status === 429) {
        return new ProviderRateLimited({ ...machineRef(machine), retryAfterMs: retryAfterMs(header("retry-after")) })
      }
      // 520 to 530 is what Cloudflare generates in Fly's place when a Worker cannot reach it.
      if (status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "check-status"
      return unavailable(machine, `HTTP ${status} without the stamp of the machine's proxy`)
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const { status } = await api.sprite(machine, signal)
        return { state: Object.hasOwn(states, status) ? states[status]! : "unknown", detail: status }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },
  }
}

const unavailable = (machine: Machine, reason: string): ProviderUnavailable =>
  new ProviderUnavailable({ ...machineRef(machine), reason })

/** `warm` still has its memory; of a `cold` one only the disk is left. */
const states: Readonly<Record<string, MachineState>> = { running: "running", warm: "suspended", cold: "stopped" }

/** The origin of a Sprite's URL, if it is nothing else. A token is sent there: without TLS only if the API has none either. */
const originOf = (url: string, isSecure: boolean): string | undefined => {
  const match = /^(https?):\/\/[A-Za-z0-9._-]+(?::\d{1,5})?\/?$/i.exec(url)
  if (match === null || (isSecure && match[1]!.toLowerCase() !== "https") || !URL.canParse(url)) return undefined
  return new URL(url).origin
}
