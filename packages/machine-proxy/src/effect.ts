/**
 * The proxy as a `Layer`, for a process that runs on Effect: it listens while its scope is open, reads the same
 * variables as the command, and counts with `Metric` for any exporter.
 *
 * @module
 */
import type { AddressInfo, Server } from "node:net"
import type { VerificationKey } from "@project-ingress/forward"
import { defaultHeaderNames } from "@project-ingress/forward"
import { defaultGraceMs, jsonLine } from "@project-ingress/forward/internal"
import type { TracingOptions } from "@project-ingress/forward/internal"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { readConfig } from "./config.ts"
import type { Config as CommandConfig } from "./config.ts"
import { reloadableKeys, UNPROVEN_HINT, unprovenReason } from "./keys.ts"
import { traceBeginner } from "./effect/begin-trace.ts"
import { checkConfigFlags, checkLayerOptions } from "./effect/layer-options.ts"
import { createListener, listenOptions } from "./listener.ts"
import { logEntry } from "./log.ts"
import { createMachineProxy } from "./machine-proxy.ts"
import type { MachineProxyOptions } from "./machine-proxy.ts"
import { makeMeter } from "./effect/meter.ts"
import { notifyReady } from "./ready.ts"
import { openTlsKeyFile } from "./tls-key-file.ts"
import type { Relay } from "./relay/connect-relay.ts"
import { loggedRelay } from "./relay/logged-relay.ts"
import { variables } from "./variables.ts"

export type { TracingOptions } from "@project-ingress/forward/internal"

/** What {@link layer} takes; {@link config} reads it from the environment. */
export interface LayerOptions extends Omit<CommandConfig, "proxy"> {
  /** The keys that verify tickets, redacted because HS256 keys are secrets. `"insecure"`: see `MachineProxyOptions`. */
  readonly keys: Redacted.Redacted<readonly VerificationKey[]> | "insecure"
  /** The options of the proxy itself. */
  readonly proxy: Omit<MachineProxyOptions, "keys" | "onEvent" | "onUpgrade" | "beginTrace">
  /**
   * Which requests' traces are recorded, if the program that builds the layer has a tracer. Behind a router that records traces,
   * `{ trustTraceContext: true }`: it has taken the visitor's flag out. Default `{}`; `false`: the trace context passes unchanged.
   */
  readonly tracing?: TracingOptions | false
}

/** What no variable says. */
export interface LayerFlags extends Pick<LayerOptions, "tracing"> {
  /** True: as `--insecure`, without keys. Default false. */
  readonly insecure?: boolean
}

/** The address cannot be listened on; `cause` is the error of the system, or says what is wrong with the file of the TLS key. */
export class CannotListen extends Error {
  readonly _tag = "CannotListen"
  readonly host: string
  readonly port: number
  constructor(options: { readonly host: string; readonly port: number; readonly cause: unknown }) {
    super(`cannot listen on ${options.host} port ${options.port}`, { cause: options.cause })
    this.name = this._tag
    this.host = options.host
    this.port = options.port
  }
}

/** New keys were not accepted, and the current ones stay. The message never shows a key. */
export class KeysRefused extends Error {
  readonly _tag = "KeysRefused"
  constructor(problem: string) {
    super(`INGRESS_TICKET_KEYS_FILE ${problem}; the current keys stay`)
    this.name = this._tag
  }
}

/** A proxy that listens. */
export class MachineProxy extends Context.Service<
  MachineProxy,
  {
    /** The address it listens on; the port is never 0. */
    readonly address: { readonly host: string; readonly port: number }
    /** The pin of the key that it speaks TLS by; `undefined` without TLS. */
    readonly pin: string | undefined
    /** The number of open connections from clients, WebSockets included. */
    readonly connections: Effect.Effect<number>
    /** Reads `INGRESS_TICKET_KEYS_FILE` again and gives the ids of its keys: run it on SIGHUP. */
    readonly reloadKeys: Effect.Effect<readonly string[], KeysRefused>
  }
>()("@project-ingress/machine-proxy/MachineProxy") {}

/**
 * Reads the variables of the command by its rules: the message of the `ConfigError` names every problem and shows no
 * key. Without a `ConfigProvider` of yours the environment is read as it is; a provider that treats empty values as
 * missing, as `ConfigProvider.fromEnv()` does, hides that somebody set one.
 *
 * @throws {TypeError} naming the flag that is unknown or invalid
 */
export const config = (flags: LayerFlags = {}): Config.Config<LayerOptions> => {
  checkConfigFlags(flags)
  return Config.all(
    Object.fromEntries(Object.keys(variables).map((name) => [name, Config.option(Config.Redacted(name))])),
  ).pipe(
    Config.mapEffect((found) => {
      const environment = Object.fromEntries(
        Object.entries(found).map(([name, value]) => [name, Option.getOrUndefined(Option.map(value, Redacted.value))]),
      )
      const read = readConfig(environment, { insecure: flags.insecure === true })
      if ("problems" in read) {
        return Effect.fail(
          new Config.ConfigError(new ConfigProvider.SourceError({ message: read.problems.join("\n") })),
        )
      }
      const { keys, ...proxy } = read.config.proxy
      return Effect.succeed({
        ...read.config,
        keys: keys === "insecure" ? keys : Redacted.make(keys, { label: "ticket keys" }),
        proxy,
        ...(flags.tracing === undefined ? {} : { tracing: flags.tracing }),
      })
    }),
  )
}

/**
 * Listens while the scope is open. When it closes, the proxy stops as the command does: the health check gives 503, after
 * `graceMs` the listener and idle connections close, and in-flight requests have until `drainMs` to finish. Requests are logged by Effect's logger as `log` says, and counted by these metrics with the current
 * `Metric.CurrentMetricAttributes` (several proxies in one process need different ones, or the gauges show the last), and have a span
 * `ingress.machine_proxy` of the program's tracer, if it has one, when they go to an app:
 *
 * | metric | labels |
 * | --- | --- |
 * | `ingress_requests_total` | `method`, `status`: `2xx`, or `none` if the connection closed before there was one |
 * | `ingress_request_duration_seconds`: a histogram, without WebSockets | |
 * | `ingress_received_bytes_total`, `ingress_sent_bytes_total`: bodies, from and to clients | |
 * | `ingress_errors_total`: error responses that the proxy generated | `code` |
 * | `ingress_incomplete_total`: responses that ended early | |
 * | `ingress_internal_errors_total`: internal errors, and the causes of error responses | `code` |
 * | `ingress_open_connections`, `ingress_open_websockets`: gauges | |
 *
 * Building the layer fails with {@link CannotListen} if the address is in use or not permitted.
 *
 * @throws {TypeError} naming the option that is invalid, never a key
 */
export const layer = (options: LayerOptions): Layer.Layer<MachineProxy, CannotListen> => {
  checkLayerOptions(options)
  return Layer.effect(MachineProxy, serve(options))
}

/**
 * {@link layer} with the options that {@link config} reads. Building it fails with `ConfigError` as well.
 *
 * @throws {TypeError} as {@link config}
 */
export const layerConfig = (flags: LayerFlags = {}): Layer.Layer<MachineProxy, CannotListen | Config.ConfigError> => {
  const options = config(flags)
  return Layer.effect(
    MachineProxy,
    Effect.gen(function* () {
      const context = yield* Effect.context()
      const provider =
        Context.getOrUndefined(context, ConfigProvider.ConfigProvider) ??
        ConfigProvider.fromEnv({ preserveEmptyStrings: true })
      return yield* serve(yield* options.parse(provider))
    }),
  )
}

const serve = Effect.fnUntraced(function* (
  options: LayerOptions,
): Effect.fn.Return<MachineProxy["Service"], CannotListen, Scope.Scope> {
  const {
    host,
    port,
    log,
    drainMs,
    graceMs = defaultGraceMs(drainMs),
    keysFile,
    tlsKeyFile,
    relayUrl,
    readyFd,
  } = options
  const context = yield* Effect.context()
  const runSync = Effect.runSyncWith(context)
  const initial = options.keys === "insecure" ? options.keys : Redacted.value(options.keys)
  const reloadable = keysFile === undefined || initial === "insecure" ? undefined : reloadableKeys(keysFile, initial)
  const meter = makeMeter(context)
  const tls = tlsKeyFile === undefined ? undefined : openTlsKeyFile(tlsKeyFile)
  if (tls !== undefined && "problem" in tls) {
    const cause = new Error(`INGRESS_TLS_KEY_FILE ${JSON.stringify(tlsKeyFile)} ${tls.problem}`)
    return yield* Effect.fail(new CannotListen({ host, port, cause }))
  }

  const { headerNames = defaultHeaderNames } = options.proxy
  const { tracing = {} } = options
  const beginTrace = tracing === false ? undefined : traceBeginner(context, tracing, headerNames.tunnel)
  const proxy = createMachineProxy({
    ...options.proxy,
    ...(beginTrace === undefined ? {} : { beginTrace }),
    keys: reloadable?.current ?? initial,
    onEvent: (event) => {
      meter.record(event)
      const entry = logEntry(event, log)
      // As one escaped text, because not every logger escapes what a client sent.
      if (entry !== undefined) runSync(logAt[entry.level](jsonLine(entry.fields)))
    },
    onUpgrade: meter.upgraded,
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => meter.watch(proxy.connections)),
    (gauges) => Effect.sync(gauges.stop),
  )

  const server = createListener(proxy, tls, (cause) => {
    if (log !== "off") runSync(logAt.warn(jsonLine({ message: "tls", cause })))
  })
  let relay: Relay | undefined
  yield* Effect.acquireRelease(listen(server, host, port), () =>
    Effect.promise(() =>
      Promise.all([
        proxy.drain({ deadlineMs: drainMs, graceMs, listeners: [server] }),
        relay?.close({ deadlineMs: drainMs }),
      ]),
    ),
  )
  if (relayUrl !== undefined && initial !== "insecure") {
    const { machine } = options.proxy
    relay = yield* Effect.promise(() =>
      loggedRelay({ url: relayUrl, machine, keys: reloadable?.current ?? initial }, proxy, (level, message, fields) => {
        if (log !== "off") runSync(logAt[level](jsonLine({ message, ...fields })))
      }),
    )
  }
  // EMFILE, for example: the next connection may succeed.
  server.on("error", (error) => runSync(Effect.logError("listener", Cause.fail(error))))
  const address = server.address() as AddressInfo
  const unproven = unprovenReason(initial)
  if (unproven !== undefined) yield* Effect.logWarning(`${unproven}: ${UNPROVEN_HINT}`)
  if (readyFd !== undefined) {
    const problem = notifyReady(readyFd)
    if (problem !== undefined) yield* Effect.logError(`INGRESS_READY_FD ${problem}`)
  }

  return {
    address: { host: address.address, port: address.port },
    pin: tls?.pin,
    connections: Effect.sync(proxy.connections),
    reloadKeys: Effect.suspend(() => {
      if (reloadable === undefined) return Effect.fail(new KeysRefused("is not set"))
      const read = reloadable.reload()
      return "keys" in read
        ? Effect.succeed(read.keys.map(({ kid }) => kid))
        : Effect.fail(new KeysRefused(read.problem))
    }),
  }
})

const logAt = { info: Effect.logInfo, warn: Effect.logWarning, error: Effect.logError }

const listen = (server: Server, host: string, port: number): Effect.Effect<void, CannotListen> =>
  Effect.callback((resume) => {
    const onError = (cause: Error) => resume(Effect.fail(new CannotListen({ host, port, cause })))
    server.once("error", onError)
    server.listen(listenOptions(host, port), () => {
      server.off("error", onError)
      resume(Effect.void)
    })
    return Effect.sync(() => server.close())
  })
