import * as Schema from "effect/Schema"
import { MachineRecordInvalid, ProviderUnavailable, machineRef } from "../../contract/errors.ts"
import { flyApi, flyFailure, FlyMachine, flyState, refusedState } from "./machines-api.ts"
import type { Endpoint, Machine, MachineProvider, MachineStatus, Verdict } from "../../contract/machine-provider.ts"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"

export interface FlyOptions {
  /**
   * As `fly tokens create` prints it, or with the scheme that a header wants: `FlyV1 fm2_…`, `Bearer …`. The smallest that
   * works is a deploy token of the app; a read-only one can do everything but `start`.
   */
  readonly token: string
  /** Asks the Machines API. Default: the runtime's own `fetch`. */
  readonly fetch?: (url: string, init: RequestInit) => Promise<Response>
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
      interceptedHeaders,
    },

    resolve: async (machine) => endpointOf(machine),

    classify({ status, header }, machine): Verdict {
      // Fly's edge puts its headers on an app's answers too and documents no body, so its status is all there is. 520 to 530
      // is what Cloudflare answers in Fly's place when a Worker cannot reach it.
      if (status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) return "check-status"
      // Over plain HTTP a redirect to https is what `force_https` in the machine's config does.
      const forced = machine.metadata["network"] === "flycast" && header("location")?.startsWith("https://") === true
      const reason =
        status >= 300 && status < 400
          ? `the edge redirects${forced ? " to https (force_https)" : ""}: HTTP ${status}`
          : `HTTP ${status} without the stamp of the machine's proxy`
      return new ProviderUnavailable({ ...machineRef(machine), reason })
    },

    async status(machine, { signal }): Promise<MachineStatus> {
      const answer = await api.request(machine, { path: path(machine), signal })
      if (!answer.ok) {
        const failure = flyFailure(answer)
        if (failure._tag === "MachineNotFound") return { state: "gone" }
        throw failure
      }
      const found = answer.decode(FlyMachine)
      // Fly still says `started` of a machine whose host is lost.
      if (found.host_status === "unreachable") {
        throw new ProviderUnavailable({ ...machineRef(machine), reason: "its host is unreachable" })
      }
      const state = flyState(found.state)
      const uptimeMs = state === "running" ? upForMsOf(found) : undefined
      return { state, detail: found.state, ...(uptimeMs === undefined ? {} : { uptimeMs }) }
    },

    async start(machine, { signal }): Promise<Endpoint> {
      const answer = await api.request(machine, { method: "POST", path: `${path(machine)}/start`, signal })
      const refused = flyState(refusedState(answer))
      // What was wanted is so already, or is on its way.
      if (!answer.ok && refused !== "running" && refused !== "starting") throw flyFailure(answer)
      // Fly answers this one when the machine has booted, or after a minute. Its edge, asked sooner, would try for as long and
      // then say 502.
      const wait = `${path(machine)}/wait?state=started&timeout=60` as const
      const booted = await api.request(machine, { path: wait, signal })
      if (!booted.ok) throw flyFailure(booted)
      return endpointOf(machine)
    },
  }
}

const DAY_MS = 86_400_000

const endpointOf = (machine: Machine): Endpoint => {
  const { app, network = "public", domain = `${app}.fly.dev`, port } = decodeRecord(machine)
  const id = machine.externalId
  const steady = { epoch: id, ttlMs: DAY_MS }
  // Past Fly's proxy: nobody there would read a routing header.
  if (network === "6pn") return { origin: `http://${id}.vm.${app}.internal:${port ?? 8080}`, ...steady }
  const origin = network === "flycast" ? `http://${app}.flycast:${port ?? 80}` : `https://${domain}:${port ?? 443}`
  // Never `fly-prefer-instance-id`: where that fails, Fly sends the request to another machine of the app.
  return { origin, headers: { "fly-force-instance-id": id }, ...steady }
}

/**
 * Commands to Fly's proxy in requests, of which a client may give none, and what it writes over. Not in it is what the proxy vouches for
 * itself, `fly-client-ip` and its like: through the tunnel a client's forgery would take the place of Fly's own.
 */
const interceptedHeaders: readonly string[] = [
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
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "the id of a Fly machine" })
  }
  if (metadata.domain !== undefined && (metadata.network ?? "public") !== "public") {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "domain", accepted: "absent on a private network" })
  }
  return metadata
}

const path = (machine: Machine) => `/apps/${decodeRecord(machine).app}/machines/${machine.externalId}` as const

const upForMsOf = ({ events }: FlyMachine): number | undefined => {
  const starts = (events ?? []).flatMap(({ status, timestamp }) =>
    status === "started" && timestamp !== undefined ? [timestamp] : [],
  )
  return starts.length === 0 ? undefined : Math.max(0, Date.now() - Math.max(...starts))
}
