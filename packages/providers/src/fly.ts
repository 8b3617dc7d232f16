import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  MachineNotFound,
  MachineRecordInvalid,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "./errors.ts"
import { flyApi } from "./fly-api.ts"
import type { FlyAnswer } from "./fly-api.ts"
import type { Endpoint, Machine, MachineProvider, MachineState, MachineStatus, Verdict } from "./machine-provider.ts"
import { metadataDecoder } from "./metadata.ts"

export interface FlyOptions {
  /**
   * As `fly tokens create` prints it, or with the scheme that a header wants: `FlyV1 fm2_…`, `Bearer …`. The smallest that
   * works is a deploy token of the app; a read-only one can do everything but `start`.
   */
  readonly token: string
  /** Asks the Machines API. Default: the global `fetch`. */
  readonly fetch?: typeof fetch
  /**
   * The Machines API with its version. `https://api.machines.dev/v1`; inside Fly `http://_api.internal:4280/v1`. Without
   * TLS only on names that end with `.internal` and on loopback, because the token travels there.
   */
  readonly apiBase?: string
}

/**
 * Machines of Fly.io. Runs everywhere.
 *
 * `externalId` is a machine's id. Metadata: `app`, the name of its app; `network`, the way there: `public` (default), over
 * Fly's edge, `flycast`, over its proxy from inside Fly, or `6pn`, straight to the machine from inside Fly; `domain`, a
 * hostname with a certificate of that app, for `public`, default `{app}.fly.dev`; `port`, where the machine's proxy is
 * reached there, default 443, 80 and 8080. On the first two it chooses the service of the machine's config, whose
 * `internal_port` must be the proxy's.
 *
 * An endpoint is made of the record alone: no request waits for the Machines API, whose rate limits and failures stay out
 * of its way, and that a machine is stopped shows in what the edge answers. Its epoch is the id, since what a restart
 * changes lies behind the edge. That the right machine answers is proven by the ticket.
 *
 * @throws {TypeError} naming the option that is wrong and what it accepts
 */
export const fly = (options: FlyOptions): MachineProvider => {
  const api = flyApi(options)

  return {
    type: "fly",
    capabilities: {
      runtimes: ["node", "bun", "deno", "workerd"],
      webSocket: true,
      wake: "start",
      // One service leads to the machine's proxy, and that to every port.
      ports: "any",
      eatenHeaders,
    },

    async resolve(machine): Promise<Endpoint> {
      const { app, network = "public", domain = `${app}.fly.dev`, port } = decodeRecord(machine)
      const id = machine.externalId
      const steady = { epoch: id, cacheForMs: DAY_MS }
      // Past Fly's proxy: nobody there would read a routing header.
      if (network === "6pn") return { origin: `http://${id}.vm.${app}.internal:${port ?? 8080}`, ...steady }
      const origin = network === "flycast" ? `http://${app}.flycast:${port ?? 80}` : `https://${domain}:${port ?? 443}`
      // Never `fly-prefer-instance-id`: where that fails, Fly sends the request to another machine of the app.
      return { origin, headers: { "fly-force-instance-id": id }, ...steady }
    },

    classify({ status, header }, machine): Verdict {
      // Fly's edge puts its headers on an app's answers too and documents no body, so its status is all there is. 520 to 530
      // is what Cloudflare answers in Fly's place when a Worker cannot reach it.
      if (status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "ask-status"
      // Over plain HTTP a redirect to https is what `force_https` in the machine's config does.
      const forced = machine.metadata["network"] === "flycast" && header("location")?.startsWith("https://") === true
      const reason =
        status >= 300 && status < 400
          ? `the edge redirects${forced ? " to https (force_https)" : ""}: HTTP ${status}`
          : `HTTP ${status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...where(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      const answer = await api.ask("GET", machine, path(machine, ""), signal)
      if (answer.status === 404 && !isAppTrouble(answer)) return { state: "gone" }
      if (answer.status < 200 || answer.status > 299) throw failureOf(answer, machine)
      const decoded = decodeMachine(answer.json)
      if (Result.isFailure(decoded)) {
        throw new ProviderUnavailable({ ...where(machine), reason: "an answer that is not understood" })
      }
      const found = decoded.success
      // Fly still says `started` of a machine whose host is lost.
      if (found.host_status === "unreachable") {
        throw new ProviderUnavailable({ ...where(machine), reason: "its host is unreachable" })
      }
      const state = stateOf(found.state)
      const upForMs = state === "running" ? upForMsOf(found) : undefined
      return { state, detail: found.state, ...(upForMs === undefined ? {} : { upForMs }) }
    },

    async start(machine, { signal }): Promise<void> {
      const answer = await api.ask("POST", machine, path(machine, "/start"), signal)
      if (answer.status >= 200 && answer.status <= 299) return
      // What was wanted is so already.
      if (answer.status === 412 && refusedState(answer) === "started") return
      throw failureOf(answer, machine)
    },
  }
}

const DAY_MS = 86_400_000
/** The rate limits are one or five a second: asking again sooner cannot help. */
const LIMITED_MS = 1_000

/**
 * Commands to Fly's proxy in requests, of which a client may give none, and what it writes over. Not in it is what the proxy vouches for
 * itself, `fly-client-ip` and its like: through the tunnel a client's forgery would take the place of Fly's own.
 */
const eatenHeaders: readonly string[] = [
  "fly-force-instance-id",
  "fly-prefer-instance-id",
  "fly-force-region",
  "fly-prefer-region",
  "fly-replay-cache-control",
  "flyio-debug",
  "x-forwarded-for",
  "x-forwarded-proto",
  "x-forwarded-port",
  "x-forwarded-ssl",
]

// An app's and a machine's names are DNS labels, which is also what keeps them from becoming another path or host.
const decodeMetadata = metadataDecoder(
  Schema.Struct({
    app: Schema.String.check(Schema.isPattern(/^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/)),
    network: Schema.optionalKey(Schema.Literals(["public", "6pn", "flycast"])),
    domain: Schema.optionalKey(
      Schema.String.check(
        Schema.isPattern(/^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z][a-z0-9-]{0,61}[a-z0-9]$/i),
      ),
    ),
    port: Schema.optionalKey(Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 65_535 }))),
  }),
  {
    app: "the name of a Fly app",
    network: `"public", "6pn" or "flycast"`,
    domain: "a hostname",
    port: "an integer from 1 to 65535",
  },
)

const decodeRecord = (machine: Machine): ReturnType<typeof decodeMetadata> => {
  const metadata = decodeMetadata(machine)
  if (!/^[A-Za-z0-9]{1,63}$/.test(machine.externalId)) {
    throw new MachineRecordInvalid({ ...where(machine), field: "externalId", accepted: "the id of a Fly machine" })
  }
  if (metadata.domain !== undefined && (metadata.network ?? "public") !== "public") {
    throw new MachineRecordInvalid({ ...where(machine), field: "domain", accepted: "absent on a private network" })
  }
  return metadata
}

const where = (machine: Machine) => ({ provider: machine.type, machine: machine.externalId })

const path = (machine: Machine, verb: "" | "/start"): string =>
  `/apps/${decodeRecord(machine).app}/machines/${machine.externalId}${verb}`

// The few fields that are needed of some fifty.
const FlyMachine = Schema.Struct({
  state: Schema.String,
  host_status: Schema.optionalKey(Schema.String),
  events: Schema.optionalKey(
    Schema.NullOr(
      Schema.Array(
        Schema.Struct({
          status: Schema.optionalKey(Schema.String),
          timestamp: Schema.optionalKey(Schema.Number),
        }),
      ),
    ),
  ),
})
type FlyMachine = typeof FlyMachine.Type
const decodeMachine = Schema.decodeUnknownResult(FlyMachine)

const stateOf = (word: string): MachineState => {
  switch (word) {
    case "started":
      return "running"
    case "creating":
    case "starting":
    case "restarting":
    case "updating":
    case "replacing":
      return "starting"
    case "stopping":
    case "suspending":
      return "stopping"
    // It may come up by itself or not; a call of `start` that comes too soon is told so.
    case "created":
    case "stopped":
      return "stopped"
    case "suspended":
      return "suspended"
    case "failed":
    case "launch_failed":
      return "failed"
    case "destroying":
    case "destroyed":
      return "gone"
    // `replaced` and `migrated` are said of old versions of a machine, never of the machine.
    default:
      return "unknown"
  }
}

const upForMsOf = ({ events }: FlyMachine): number | undefined => {
  const starts = (events ?? []).flatMap(({ status, timestamp }) =>
    status === "started" && timestamp !== undefined ? [timestamp] : [],
  )
  return starts.length === 0 ? undefined : Math.max(0, Date.now() - Math.max(...starts))
}

/** What the Machines API means by an answer that is no success. */
const failureOf = (answer: FlyAnswer, machine: Machine) => {
  const { status, text, cause } = answer
  const at = { ...where(machine), cause }
  if (answer.code === "insufficient_capacity") return new ProviderUnavailable({ ...at, reason: "capacity" })
  // `redirect: "manual"` gives the answer itself or, as the standard wants it, a status of 0.
  if (status === 0 || (status >= 300 && status < 400)) {
    return new ProviderUnavailable({ ...at, reason: `the API redirects: HTTP ${status || "3xx"}` })
  }
  switch (status) {
    case 401:
    case 403:
      return new ProviderAuth(at)
    case 404:
      return isAppTrouble(answer)
        ? new ProviderUnavailable({ ...at, reason: "HTTP 404 for the app" })
        : new MachineNotFound(at)
    // The machine did not get there in time; it is still on its way.
    case 408:
      return new MachineStarting(at)
    // 409: a lease or another version is in the way. 412: the machine's state does not allow it now. Or there is no room.
    case 409:
    case 412:
      if (/insufficient (?:resources|memory|cpu|capacity)|could not reserve resource/i.test(text)) {
        return new ProviderUnavailable({ ...at, reason: "capacity" })
      }
      return stateOf(refusedState(answer) ?? "") === "gone" ? new MachineNotFound(at) : new MachineStarting(at)
    // Nothing was sent but the names in the path.
    case 422:
      return new MachineRecordInvalid({ ...at, field: "externalId", accepted: "the id of a machine of its app" })
    case 429:
      return new ProviderRateLimited({ ...at, retryAfterMs: retryAfterMs(answer.retryAfter) })
    default:
      return new ProviderUnavailable({ ...at, reason: `HTTP ${status}` })
  }
}

/** The state in `unable to start machine from current state: 'created'`. */
const refusedState = ({ text }: FlyAnswer): string | undefined => /current state: '(\w+)'/.exec(text)?.[1]

// Said for a moment of an app that exists: right after it was made, and when Fly's own look-up fails.
const isAppTrouble = ({ text }: FlyAnswer): boolean => /no longer introspect/i.test(text)

// RFC 9110 §10.2.3: seconds or a date.
const retryAfterMs = (value: string | null): number => {
  const asked = value === null ? 0 : /^\d{1,6}$/.test(value) ? Number(value) * 1_000 : Date.parse(value) - Date.now()
  return asked > LIMITED_MS ? asked : LIMITED_MS
}
