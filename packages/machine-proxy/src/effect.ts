/**
 * The proxy as a `Layer`, for a process that runs on Effect: it listens while its scope is open, is configured by the very
 * variables of the command, and counts with `Metric`, so that any exporter of yours can read it.
 */
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import type { VerificationKey } from "@project-ingress/forward"
import type { EngineEvent } from "@project-ingress/forward/sockets"
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import type * as Scope from "effect/Scope"
import { readConfig, variables } from "./config.ts"
import type { Config as Read } from "./config.ts"
import { reloadableKeys } from "./keys.ts"
import { line, logEntry } from "./log.ts"
import { createMachineProxy } from "./machine-proxy.ts"
import type { MachineProxyOptions } from "./machine-proxy.ts"
import { codeLabel, methodLabel, statusLabel, tagLabel } from "./metrics.ts"
import { notifyReady } from "./ready.ts"

/** What {@link layer} takes; {@link config} reads it from the environment. */
export interface Settings extends Omit<Read, "proxy"> {
  /** Redacted, because HS256 keys are secrets. `"insecure"`: see `MachineProxyOptions`. */
  readonly keys: Redacted.Redacted<readonly VerificationKey[]> | "insecure"
  readonly proxy: Omit<MachineProxyOptions, "keys" | "onEvent" | "onUpgrade">
}

/** The address cannot be listened on: `cause` says why. */
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

/** New keys were not taken, the old ones hold. The message never shows a key. */
export class KeysRefused extends Error {
  readonly _tag = "KeysRefused"
  constructor(problem: string) {
    super(`INGRESS_TICKET_KEYS_FILE ${problem}; the keys stay as they were`)
    this.name = this._tag
  }
}

/** A proxy that listens. */
export class MachineProxy extends Context.Service<
  MachineProxy,
  {
    /** Where it listens; the port is never 0. */
    readonly address: { readonly host: string; readonly port: number }
    /** Open connections from clients, WebSockets included. */
    readonly connections: Effect.Effect<number>
    /** Reads `INGRESS_TICKET_KEYS_FILE` again and gives the ids of its keys: run it on SIGHUP. */
    readonly reloadKeys: Effect.Effect<readonly string[], KeysRefused>
  }
>()("@project-ingress/machine-proxy/MachineProxy") {}

/**
 * The variables of the command, by its rules: the message of the `ConfigError` names every problem. Without a
 * `ConfigProvider` of yours the environment is read as it is; a provider that takes empty values for missing ones, as
 * `ConfigProvider.fromEnv()` does, hides that somebody set one.
 */
export const config = (flags: { readonly insecure?: boolean } = {}): Config.Config<Settings> =>
  Config.all(
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
      })
    }),
  )

/**
 * Listens while the scope is open. When it closes, no new connection is taken, and requests at hand have `drainMs` to
 * finish. Exchanges go to Effect's logger as `log` says, and into these metrics, under the `Metric.CurrentMetricAttributes`
 * at hand (several proxies of one process need different ones, or the gauges show the last):
 *
 * | metric | labels |
 * | --- | --- |
 * | `ingress_requests_total` | `method`, `status`: `2xx`, or `none` when the connection broke off before one |
 * | `ingress_request_duration_seconds`: a histogram, WebSockets not included | |
 * | `ingress_received_bytes_total`, `ingress_sent_bytes_total`: bodies, from and to clients | |
 * | `ingress_errors_total`: answers that the proxy made because of a failure | `code` |
 * | `ingress_incomplete_total`: answers that broke off | |
 * | `ingress_internal_errors_total`: what went wrong beside an exchange, or as the cause of its failure | `code` |
 * | `ingress_open_connections`, `ingress_open_websockets`: gauges | |
 */
export const layer = (settings: Settings): Layer.Layer<MachineProxy, CannotListen> =>
  Layer.effect(MachineProxy, run(settings))

/** The same, with {@link config}. */
export const layerConfig = (
  flags: { readonly insecure?: boolean } = {},
): Layer.Layer<MachineProxy, CannotListen | Config.ConfigError> =>
  Layer.effect(
    MachineProxy,
    Effect.gen(function* () {
      const context = yield* Effect.context()
      const provider =
        Context.getOrUndefined(context, ConfigProvider.ConfigProvider) ??
        ConfigProvider.fromEnv({ preserveEmptyStrings: true })
      return yield* run(yield* config(flags).parse(provider))
    }),
  )

const run = Effect.fnUntraced(function* (
  settings: Settings,
): Effect.fn.Return<MachineProxy["Service"], CannotListen, Scope.Scope> {
  const { host, port, log, drainMs, keysFile, readyFd } = settings
  const context = yield* Effect.context()
  const report = Effect.runSyncWith(context)
  const initial = settings.keys === "insecure" ? settings.keys : Redacted.value(settings.keys)
  const reloadable = keysFile === undefined || initial === "insecure" ? undefined : reloadableKeys(keysFile, initial)
  const metrics = meter(context)

  const proxy = createMachineProxy({
    ...settings.proxy,
    keys: reloadable?.current ?? initial,
    onEvent: (event) => {
      metrics.record(event)
      const entry = logEntry(event, log)
      // As one escaped text: not every logger escapes what a client sent.
      if (entry !== undefined) report(logAt[entry.level](line(entry.fields)))
    },
    onUpgrade: metrics.upgraded,
  })
  yield* Effect.acquireRelease(
    Effect.sync(() => metrics.watch(proxy.connections)),
    (watching) => Effect.sync(watching.stop),
  )

  const server = createServer({ noDelay: true }, proxy.connection)
  yield* Effect.acquireRelease(listen(server, host, port), () =>
    Effect.promise(() => {
      server.close()
      return proxy.drain({ deadlineMs: drainMs })
    }),
  )
  // EMFILE and its like: the next connection may succeed.
  server.on("error", (error) => report(Effect.logError("listener", Cause.fail(error))))
  const address = server.address() as AddressInfo
  if (readyFd !== undefined) {
    const problem = notifyReady(readyFd)
    if (problem !== undefined) yield* Effect.logError(`INGRESS_READY_FD ${problem}`)
  }

  return {
    address: { host: address.address, port: address.port },
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
    const failed = (cause: Error) => resume(Effect.fail(new CannotListen({ host, port, cause })))
    server.once("error", failed)
    // The command's backlog, for the same reason.
    server.listen({ host, port, backlog: 4_096 }, () => {
      server.off("error", failed)
      resume(Effect.void)
    })
    return Effect.sync(() => server.close())
  })

interface Meter {
  readonly record: (event: EngineEvent) => void
  readonly upgraded: () => void
  readonly watch: (connections: () => number) => { readonly stop: () => void }
}

const octets = (name: string, description: string): Metric.Counter<number> =>
  Metric.counter(name, { description, incremental: true, attributes: { unit: "By" } })

/**
 * The metrics of one proxy. A series per set of labels is made once and updated directly: `Metric.withAttributes` would
 * merge attributes at every request.
 */
const meter = (context: Context.Context<never>): Meter => {
  const series = (name: string, description: string) => {
    const known = new Map<string, Metric.Counter<number>>()
    return (key: string, attributes: Readonly<Record<string, string>>): void => {
      let counter = known.get(key)
      if (counter === undefined) {
        counter = Metric.counter(name, { description, attributes, incremental: true })
        known.set(key, counter)
      }
      counter.updateUnsafe(1, context)
    }
  }
  const requests = series("ingress_requests_total", "Requests that are over")
  const errors = series("ingress_errors_total", "Failures that the proxy answered, by stable code")
  const trouble = series(
    "ingress_internal_errors_total",
    "What went wrong beside an exchange or as its cause, by stable code",
  )
  const incomplete = Metric.counter("ingress_incomplete_total", {
    description: "Answers that broke off",
    incremental: true,
  })
  const received = octets("ingress_received_bytes_total", "Octets of bodies and WebSockets from clients")
  const sent = octets("ingress_sent_bytes_total", "Octets of bodies and WebSockets to clients")
  const duration = Metric.histogram("ingress_request_duration_seconds", {
    description: "From a request's first octet to the last of its answer, WebSockets not included",
    attributes: { unit: "s" },
    boundaries: [0.001, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60],
  })
  const openConnections = Metric.gauge("ingress_open_connections", {
    description: "Connections from clients, WebSockets included",
  })
  const openWebSockets = Metric.gauge("ingress_open_websockets", { description: "WebSockets" })

  let webSockets = 0
  return {
    record: (event) => {
      if (event.type === "error") {
        const code = tagLabel(event.tag)
        trouble(code, { code })
        return
      }
      const method = methodLabel(event.method)
      const status = statusLabel(event.status)
      requests(`${method} ${status}`, { method, status })
      if (event.code !== undefined) {
        const code = codeLabel(event.code)
        errors(code, { code })
      }
      if (!event.complete) incomplete.updateUnsafe(1, context)
      if (event.bytesIn > 0) received.updateUnsafe(event.bytesIn, context)
      if (event.bytesOut > 0) sent.updateUnsafe(event.bytesOut, context)
      if (event.status === 101) webSockets--
      else duration.updateUnsafe(event.durationMs / 1_000, context)
    },
    upgraded: () => {
      webSockets++
    },
    // Read when somebody looks, so that a connection costs nothing.
    watch: (connections) => {
      const watched = [
        [openConnections, connections],
        [openWebSockets, () => webSockets],
      ] as const
      const registrations = watched.map(([gauge, value]) =>
        Metric.registerUnsafe(gauge, context, {
          get: () => ({ value: value() }),
          update: () => undefined,
          modify: () => undefined,
        }),
      )
      return { stop: () => registrations.forEach(({ remove }) => remove()) }
    },
  }
}
