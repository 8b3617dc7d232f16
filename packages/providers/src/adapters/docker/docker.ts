import * as Schema from "effect/Schema"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { metadataDecoder } from "../../adapter-kit/metadata-decoder.ts"
import { A_PUBLIC_KEY_PIN, PublicKeyPin } from "../../adapter-kit/public-key-pin.ts"
import { acceptPort } from "../../adapter-kit/option-checks.ts"
import { checkAddressOptions } from "../../contract/address-options.ts"
import type { AddressOptions, Addresses } from "../../contract/address-options.ts"
import {
  MachineNotFound,
  MachineRecordInvalid,
  ProviderAuth,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type {
  Endpoint,
  Machine,
  MachineChange,
  MachineProvider,
  MachineStatus,
} from "../../contract/machine-provider.ts"
import { AN_ORIGIN, isOrigin } from "../../contract/origin.ts"
import { containerAddress, originOf, publishedOrigin } from "./container-origin.ts"
import { containerState, containerUptimeMs, parseContainer, refuseUnlessRunning } from "./container.ts"
import type { Container } from "./container.ts"
import { ENGINE_ADDRESSES, parseEngineAddress } from "./engine-address.ts"
import { engineClient } from "./engine-client.ts"
import type { EngineClient } from "./engine-client.ts"
import { EngineFailure } from "./engine-failure.ts"
import { acceptPem } from "./engine-tls.ts"
import type { EngineTls } from "./engine-tls.ts"
import { eventsPath, parseEvent } from "./events.ts"

/** How {@link docker} reaches its engine and the containers of it. */
export interface DockerOptions extends AddressOptions {
  /**
   * `unix:///var/run/docker.sock` or `tcp://host:2375`. Default: `DOCKER_HOST`, then the default socket. `ssh://` and
   * `npipe://` are not supported.
   */
  readonly host?: string
  /** Where `DOCKER_HOST`, `DOCKER_TLS_VERIFY` and `DOCKER_CERT_PATH` are read. Default: the environment of the process. */
  readonly env?: Readonly<Record<string, string | undefined>>
  /**
   * PEM texts for a `tcp://` engine that uses TLS. Default, if `DOCKER_TLS_VERIFY` is not empty: `ca.pem`, `cert.pem` and
   * `key.pem` in the folder `DOCKER_CERT_PATH`, read for each request to the engine.
   */
  readonly tls?: EngineTls
  /** The port of the machine proxy inside the containers, 1 to 65535. Default 8080. */
  readonly proxyPort?: number
  /**
   * Ranges that a container's own address, or the `origin` of a record, may be in, in addition to public addresses, as CIDRs:
   * `["10.1.0.0/16"]`. Default: loopback and the private ranges of RFC 1918. Link-local addresses, and so the metadata
   * services of clouds, are in none of them. Published ports are at the engine's host, whose address is not checked.
   */
  readonly allowCidrs?: readonly string[] | undefined
}

/**
 * Containers of one Docker Engine (API 1.40 to 1.56), over its socket or TCP. Runs on Node, Bun and Deno.
 *
 * `externalId` is a container's full id; a name works as long as no other container gets it. Metadata: `address`, how the
 * machine proxy is reached: `published` (default), the port of the engine's host that is published for it, or `container`,
 * the container's own address, which only works on the engine's own Linux host; `network`, whose address to use when the
 * container is in several; `origin`, a fixed `http(s)` origin in front of the container, which replaces both; `pin`, where the
 * machine proxy speaks TLS itself: what its command `pin` prints. Docker gives addresses and ports of a container that has
 * stopped to the next one, and only a pin keeps requests from that one.
 *
 * Failures: an invalid `DOCKER_HOST`, or file in `DOCKER_CERT_PATH`, is `ProviderUnavailable` whose reason names the variable;
 * no permission for the socket, a missing or refused client certificate, 401 and 403 are `ProviderAuth`; an invalid
 * certificate of the engine and any other TLS failure are `ProviderUnavailable` with the reason `TLS: <code>`; a response that
 * is not the expected JSON or is larger than 4 MiB is `ProviderUnavailable`, and is not repeated; an address that
 * `allowCidrs` does not hold is `MachineRecordInvalid`; on Workers every call is `ProviderUnavailable`.
 *
 * @throws {TypeError} for unknown or invalid options, naming the option and what it accepts
 *
 * @example
 * docker({ host: "unix:///var/run/docker.sock" })
 */
export const docker = (options: DockerOptions = {}): MachineProvider => {
  const addresses = checkDockerOptions(options)
  const { proxyPort = 8080 } = options
  const engine = engineClient(options)
  // The last event that was reported, in ns since 1970: the next watch continues after it.
  let lastEventAt: bigint | undefined

  const inspect = async (machine: Machine, signal: AbortSignal): Promise<Container> => {
    const container = parseContainer(await call(engine, "GET", machine, "json", signal))
    if (container !== undefined) return container
    throw new ProviderUnavailable({ ...machineRef(machine), reason: "invalid response" })
  }

  const endpointOf = async (machine: Machine, signal: AbortSignal): Promise<Endpoint> => {
    const metadata = decodeMetadata(machine)
    const container = await inspect(machine, signal)
    refuseUnlessRunning(container, machine)
    return {
      ...place(container, machine, metadata),
      epoch: `${container.Id}@${container.State.StartedAt}`,
      // A restart changes a published port; the failure that this causes has the endpoint resolved again.
      ttlMs: 5_000,
      uptimeMs: containerUptimeMs(container),
    }
  }

  /** Where the machine proxy is. An address that the record or the container's creator chose is checked. */
  const place = (
    container: Container,
    machine: Machine,
    { address, network, origin, pin }: ReturnType<typeof decodeMetadata>,
  ): Pick<Endpoint, "origin" | "addresses" | "pin"> => {
    const checked = (text: string, field: string) => ({
      origin: addresses.allowed(text, machine, field),
      addresses: addresses.rule,
      pin,
    })
    if (origin !== undefined) return checked(origin, "origin")
    const hostname = engine.hostname()
    if (container.HostConfig?.NetworkMode === "host") return { origin: originOf(hostname, proxyPort, pin), pin }
    if (address !== "container" && network === undefined) {
      return { origin: publishedOrigin(container, machine, { proxyPort, hostname, pin }), pin }
    }
    return checked(originOf(containerAddress(container, machine, network), proxyPort, pin), "network")
  }

  return {
    type: "docker",
    capabilities: {
      runtimes: ["node", "bun", "deno"],
      webSocket: true,
      carries: { trailers: true, duplex: true },
      wake: "start",
      ports: "any",
      interceptedHeaders: [],
    },

    resolve: (machine, { signal }) => endpointOf(machine, signal),

    async status(machine, { signal }): Promise<MachineStatus> {
      try {
        const container = await inspect(machine, signal)
        const state = containerState(container)
        const detail = container.State.Status
        return state === "running" ? { state, detail, uptimeMs: containerUptimeMs(container) } : { state, detail }
      } catch (error) {
        if (error instanceof MachineNotFound) return { state: "gone" }
        throw error
      }
    },

    async start(machine, { signal }): Promise<Endpoint | undefined> {
      try {
        await call(engine, "POST", machine, "start", signal)
      } catch (error) {
        // A paused container cannot be started; any other conflict makes `unpause` fail too.
        if (!(error instanceof ProviderUnavailable) || error.reason !== "HTTP 409") throw error
        await call(engine, "POST", machine, "unpause", signal)
      }
      // It runs now, perhaps at another address. If that cannot be found, `resolve` reports why to those who want it.
      return endpointOf(machine, signal).catch(() => undefined)
    },

    async *watch({ signal }): AsyncGenerator<MachineChange> {
      try {
        for await (const line of engine.lines(eventsPath(lastEventAt), signal)) {
          const event = parseEvent(line)
          if (event === undefined) continue
          if (event.at !== undefined) lastEventAt = event.at
          // A record names its container by id or by name.
          for (const externalId of event.names) yield { externalId, state: event.state }
        }
      } catch (cause) {
        if (!signal.aborted) throw toProviderError(cause, { provider: "docker", machine: "(all)" })
      }
    },
  }
}

/** Loopback and the private ranges of RFC 1918. Not RFC 4193's: one of its addresses is a metadata service. */
const PRIVATE_NETWORKS = ["127.0.0.0/8", "::1/128", "10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16"]

const checkDockerOptions = (options: DockerOptions): Addresses => {
  const addresses = checkAddressOptions("docker", options, {
    fields: {
      host: (value) =>
        typeof value === "string" && parseEngineAddress(value) !== undefined ? undefined : ENGINE_ADDRESSES,
      env: accept.object,
      tls: accept.object,
      proxyPort: acceptPort,
    },
    always: options?.allowCidrs === undefined ? PRIVATE_NETWORKS : [],
  })
  const { tls } = options
  if (tls === undefined) return addresses
  checkOptions("docker", tls, { ca: acceptPem("ca"), cert: acceptPem("cert"), key: acceptPem("key") }, { at: "tls" })
  if ((tls.cert === undefined) !== (tls.key === undefined)) {
    throw new TypeError("docker: tls.cert and tls.key must be given together")
  }
  return addresses
}

const decodeMetadata = metadataDecoder(
  Schema.Struct({
    address: Schema.optionalKey(Schema.Literals(["published", "container"])),
    network: Schema.optionalKey(Schema.NonEmptyString),
    origin: Schema.optionalKey(Schema.String.check(Schema.makeFilter(isOrigin))),
    pin: Schema.optionalKey(PublicKeyPin),
  }),
  {
    address: `"published" or "container"`,
    network: "the name of one of the container's networks",
    origin: AN_ORIGIN,
    pin: A_PUBLIC_KEY_PIN,
  },
)

/** Sends one request about a container. Gives the response's body; throws what any other status means. */
const call = async (
  engine: EngineClient,
  method: "GET" | "POST",
  machine: Machine,
  verb: "json" | "start" | "unpause",
  signal: AbortSignal,
): Promise<string> => {
  // Docker's own rule for names. It also keeps an id from changing the path.
  if (!/^[A-Za-z0-9][A-Za-z0-9_.-]{0,254}$/.test(machine.externalId)) {
    throw new MachineRecordInvalid({
      ...machineRef(machine),
      field: "externalId",
      accepted: "a container's id or name",
    })
  }
  let response
  try {
    response = await engine.request(method, `/containers/${machine.externalId}/${verb}`, signal)
  } catch (cause) {
    if (signal.aborted) throw cause
    throw toProviderError(cause, machineRef(machine))
  }
  const { status, body } = response
  // 304: it already runs.
  if ((status >= 200 && status < 300) || status === 304) return body
  // A start also responds with 404 when the container's network does not exist.
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

const toProviderError = (
  failure: unknown,
  where: { readonly provider: string; readonly machine: string },
): ProviderAuth | ProviderUnavailable => {
  if (!(failure instanceof EngineFailure)) {
    return new ProviderUnavailable({ ...where, cause: failure, reason: "the engine request failed" })
  }
  const { cause, reason, refused } = failure
  return refused ? new ProviderAuth({ ...where, cause }) : new ProviderUnavailable({ ...where, cause, reason })
}
