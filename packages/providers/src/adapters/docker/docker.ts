import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  PortClosed,
  ProviderAuth,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import { eventOf, eventsSince } from "./events.ts"
import { dockerEngine, EngineFailure } from "./engine-client.ts"
import type { DockerEngine, EngineTls } from "./engine-client.ts"
import type {
  Endpoint,
  Machine,
  MachineChange,
  MachineProvider,
  MachineState,
  MachineStatus,
} from "../../contract/machine-provider.ts"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"
import { AN_ORIGIN, isOrigin } from "../../contract/origin.ts"

export interface DockerOptions {
  /**
   * `unix:///var/run/docker.sock` or `tcp://host:2375`. Default: `DOCKER_HOST`, then the default socket. `ssh://` and
   * `npipe://` are not supported.
   */
  readonly host?: string
  /** Where `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` are looked up. Default: the process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * PEM texts for a `tcp://` engine that speaks TLS. Default, if `DOCKER_TLS_VERIFY` is not empty: `ca.pem`, `cert.pem` and
   * `key.pem` in the folder `DOCKER_CERT_PATH`, read for each question.
   */
  readonly tls?: EngineTls
  /** The port of the machine proxy inside the containers. 8080. */
  readonly proxyPort?: number
}

/**
 * Containers of one Docker Engine (API 1.40 to 1.54), asked directly over its socket. Runs on Node, Bun and Deno.
 *
 * `externalId` is a container's full id; a name works as long as no other container gets it. Metadata: `address`, where the
 * proxy is reached: `published` (default), the host port that is published for it, or `container`, the container's own
 * address, which only works on the engine's own Linux host; `network`, whose address to take when there are several;
 * `origin`, a fixed `http(s)` origin in front of the container, which replaces both.
 *
 * @throws {TypeError} naming the option that is wrong and what it accepts; what is wrong in the environment is
 * `ProviderUnavailable` when the engine is asked
 */
export const docker = (options: DockerOptions = {}): MachineProvider => {
  const { proxyPort = 8080 } = options
  const engine = dockerEngine(options)
  // The last event that somebody was told of, in ns since 1970: where the next watch goes on.
  let told: bigint | undefined

  const inspect = async (machine: Machine, signal: AbortSignal): Promise<Container> => {
    const decoded = decodeContainer(await call(engine, "GET", machine, "json", signal))
    if (Result.isSuccess(decoded)) return decoded.success
    throw new ProviderUnavailable({ ...machineRef(machine), reason: "an answer that is not understood" })
  }

  const endpointOf = async (machine: Machine, signal: AbortSignal): Promise<Endpoint> => {
    const metadata = decodeMetadata(machine)
    const container = await inspect(machine, signal)
    refuseUnlessRunning(container, machine)
    const origin =
      metadata.origin ??
      (metadata.address === "container" || metadata.network !== undefined
        ? containerOrigin(container, machine, metadata.network, proxyPort, engine)
        : publishedOrigin(container, machine, proxyPort, engine))
    return {
      origin,
      epoch: `${container.Id}@${container.State.StartedAt}`,
      // A restart changes a published port; the failure it causes is mended by asking again.
      ttlMs: 5_000,
      uptimeMs: uptimeMs(container),
    }
  }

  return {
    type: "docker",
    capabilities: {
      runtimes: ["node", "bun", "deno"],
      webSocket: true,
      wake: "start",
      ports: "any",
      interceptedHeaders: [],
    },

    resolve: (machine, { signal }) => endpointOf(machine, signal),

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const container = await inspect(machine, signal)
        const state = stateOf(container)
        const detail = container.State.Status
        return state === "running" ? { state, detail, uptimeMs: uptimeMs(container) } : { state, detail }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<Endpoint | undefined> {
      try {
        await call(engine, "POST", machine, "start", signal)
      } catch (error) {
        // A paused container cannot be started; anything else that conflicts cannot be unpaused either.
        if (!(error instanceof ProviderUnavailable) || error.reason !== "HTTP 409") throw error
        await call(engine, "POST", machine, "unpause", signal)
      }
      // It runs by now, at another address. What is wrong with that is for who wants to go there.
      return endpointOf(machine, signal).catch(() => undefined)
    },

    async *watch({ signal }): AsyncGenerator<MachineChange> {
      try {
        for await (const line of engine.lines(eventsSince(told), signal)) {
          const event = eventOf(line)
          if (event === undefined) continue
          if (event.at !== undefined) told = event.at
          // A record names its container by its id, or by a name that no other gets.
          for (const externalId of event.names) yield { externalId, state: event.state }
        }
      } catch (cause) {
        if (!signal.aborted) throw engineFailure(cause, { provider: "docker", machine: "(all)" })
      }
    },
  }
}

// Only what does not change between API 1.40 and 1.56.
const Container = Schema.Struct({
  Id: Schema.String,
  State: Schema.Struct({
    Status: Schema.String,
    Running: Schema.Boolean,
    Paused: Schema.Boolean,
    Restarting: Schema.Boolean,
    Dead: Schema.optionalKey(Schema.Boolean),
    Error: Schema.optionalKey(Schema.String),
    Health: Schema.optionalKey(Schema.NullOr(Schema.Struct({ Status: Schema.optionalKey(Schema.String) }))),
    StartedAt: Schema.String,
  }),
  HostConfig: Schema.optionalKey(Schema.Struct({ NetworkMode: Schema.optionalKey(Schema.String) })),
  NetworkSettings: Schema.Struct({
    Ports: Schema.optionalKey(
      Schema.NullOr(
        Schema.Record(
          Schema.String,
          Schema.NullOr(Schema.Array(Schema.Struct({ HostIp: Schema.String, HostPort: Schema.String }))),
        ),
      ),
    ),
    Networks: Schema.optionalKey(
      Schema.NullOr(Schema.Record(Schema.String, Schema.Struct({ IPAddress: Schema.optionalKey(Schema.String) }))),
    ),
  }),
})
type Container = typeof Container.Type
const decodeContainer = Schema.decodeUnknownResult(Schema.fromJsonString(Container))

const decodeMetadata = metadataDecoder(
  Schema.Struct({
    address: Schema.optionalKey(Schema.Literals(["published", "container"])),
    network: Schema.optionalKey(Schema.NonEmptyString),
    origin: Schema.optionalKey(Schema.String.check(Schema.makeFilter(isOrigin))),
  }),
  {
    address: `"published" or "container"`,
    network: "the name of one of the container's networks",
    origin: AN_ORIGIN,
  },
)

/** Asks about one container and translates what the engine says about it. Gives the text of its answer. */
const call = async (
  engine: DockerEngine,
  method: "GET" | "POST",
  machine: Machine,
  verb: "json" | "start" | "unpause",
  signal: AbortSignal,
): Promise<string> => {
  // Docker's own rule for names; also what keeps an id from becoming another path.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/.test(machine.externalId)) {
    throw new MachineRecordInvalid({
      ...machineRef(machine),
      field: "externalId",
      accepted: "a container's id or name",
    })
  }
  let answer
  try {
    answer = await engine.request(method, `/containers/${machine.externalId}/${verb}`, signal)
  } catch (cause) {
    if (signal.aborted) throw cause
    throw engineFailure(cause, machineRef(machine))
  }
  const { status, body } = answer
  // 304: it runs already.
  if ((status >= 200 && status < 300) || status === 304) return body
  // A start answers 404 for the container's network too.
  if (status === 404 && /no such container/i.test(body)) throw new MachineNotFound(machineRef(machine))
  if (status === 401 || status === 403) throw new ProviderAuth(machineRef(machine))
  if (status === 500 && body.includes("Multiple IDs found")) {
    throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "the id of one container" })
  }
  throw new ProviderUnavailable({
    ...machineRef(machine),
    reason: `HTTP ${status}`,
    cause: new Error(body.slice(0, 1_000)),
  })
}

const engineFailure = (
  failure: unknown,
  who: { readonly provider: string; readonly machine: string },
): ProviderAuth | ProviderUnavailable => {
  if (!(failure instanceof EngineFailure)) {
    return new ProviderUnavailable({ ...who, cause: failure, reason: "engine failed" })
  }
  const { cause, reason, refused } = failure
  return refused ? new ProviderAuth({ ...who, cause }) : new ProviderUnavailable({ ...who, cause, reason })
}

// `Running` is true as well while a container restarts or is paused, so it is asked last.
const stateOf = ({ State }: Container): MachineState => {
  if (State.Dead === true || State.Status === "dead" || State.Status === "removing") return "gone"
  if (State.Restarting) return "starting"
  if (State.Paused) return "suspended"
  if (State.Running) return "running"
  // A failed start leaves `created` with an error: it will not come up by itself.
  if (State.Status === "created" && State.Error !== undefined && State.Error !== "") return "failed"
  return State.Status === "created" || State.Status === "exited" ? "stopped" : "unknown"
}

const refuseUnlessRunning = (container: Container, machine: Machine): void => {
  const state = stateOf(container)
  if (state === "running") return
  if (state === "gone") throw new MachineNotFound(machineRef(machine))
  if (state === "starting") throw new MachineStarting(machineRef(machine))
  throw new MachineNotRunning({ ...machineRef(machine), state: container.State.Status })
}

// A health check that is still starting prolongs the youth; it never decides whether a request is sent.
const uptimeMs = ({ State }: Container): number =>
  State.Health?.Status === "starting" ? 0 : Math.max(0, Date.now() - Date.parse(State.StartedAt) || 0)

const isLoopback = (host: string): boolean => /^(?:127(?:\.\d+){3}|::1|localhost)$/i.test(host)

const originOf = (host: string, port: number | string): string =>
  `http://${host.includes(":") ? `[${host}]` : host}:${port}`

const publishedOrigin = (container: Container, machine: Machine, proxyPort: number, engine: DockerEngine): string => {
  const hostname = engine.hostname()
  if (container.HostConfig?.NetworkMode === "host") return originOf(hostname, proxyPort)
  const bindings = container.NetworkSettings.Ports?.[`${proxyPort}/tcp`] ?? []
  const reached = bindings.flatMap(({ HostIp, HostPort }) => {
    const host = publishedHost(HostIp, hostname)
    return host === undefined ? [] : [{ HostIp, origin: originOf(host, HostPort) }]
  })
  const found = reached.find(({ HostIp }) => !HostIp.includes(":")) ?? reached[0]
  if (found === undefined) throw new PortClosed({ ...machineRef(machine), port: proxyPort })
  return found.origin
}

/** Where a port that is published at `HostIp` is reached, if it can be; `hostname` is the engine's. */
const publishedHost = (HostIp: string, hostname: string): string | undefined => {
  // The engine's own host, and that is another one.
  if (isLoopback(HostIp)) return isLoopback(hostname) ? HostIp : undefined
  if (HostIp !== "0.0.0.0" && HostIp !== "::") return HostIp === "" ? hostname : HostIp
  // All addresses of one family. In the other one nobody has this port, or another container.
  const v6 = HostIp === "::"
  const named = !/^[\d.]+$|:/.test(hostname)
  if (named || hostname.includes(":") === v6) return hostname
  if (!isLoopback(hostname)) return undefined
  return v6 ? "::1" : "127.0.0.1"
}

const containerOrigin = (
  container: Container,
  machine: Machine,
  network: string | undefined,
  proxyPort: number,
  engine: DockerEngine,
): string => {
  if (container.HostConfig?.NetworkMode === "host") return originOf(engine.hostname(), proxyPort)
  const networks = Object.entries(container.NetworkSettings.Networks ?? {})
  const found =
    network === undefined && networks.length === 1 ? networks[0] : networks.find(([name]) => name === network)
  const address = found?.[1].IPAddress
  if (address !== undefined && address !== "") return originOf(address, proxyPort)
  throw new MachineRecordInvalid({
    ...machineRef(machine),
    field: "network",
    accepted: "one of the container's networks that gives it an address",
  })
}
