import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import * as http from "node:http"
import * as net from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect as connectTls } from "node:tls"
import { inspect } from "node:util"
import { generateTicketKeys } from "@project-ingress/forward"
import { publicKeyPin } from "@project-ingress/forward/sockets"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Otlp from "effect/observability/Otlp"
import * as PrometheusMetrics from "effect/observability/PrometheusMetrics"
import * as Scope from "effect/Scope"
import { describe, expect, it } from "vitest"
import { config, layer, layerConfig, MachineProxy } from "../src/effect.ts"
import type { LayerOptions } from "../src/effect.ts"
import { readConfig } from "../src/config.ts"
import { makeMeter } from "../src/effect/meter.ts"
import { begin, closedPort, get, listen, machine, raw, startApp, ticketFor, verification } from "./harness.ts"

const secret = { kty: "oct", alg: "HS256", kid: "k1", k: "s3cr3t-".repeat(8) }
const environment = {
  INGRESS_MACHINE: machine,
  INGRESS_TICKET_KEYS: JSON.stringify([verification]),
  HOST: "127.0.0.1",
  PORT: "0",
  INGRESS_LOG: "off",
}
const provide = (record: Record<string, string>) =>
  ConfigProvider.layer(ConfigProvider.fromEnvRecord(record, { preserveEmptyStrings: true }))

/** A proxy with a registry of its own, until `stop`. */
const start = async (more: Record<string, string> = {}, logs: unknown[] = []) => {
  const scope = Effect.runSync(Scope.make())
  const registry: Metric.MetricRegistry = new Map()
  const context = await Effect.runPromise(
    Layer.buildWithScope(
      layerConfig().pipe(
        // No load balancer has to notice the stop: nothing waits for it.
        Layer.provide(provide({ ...environment, INGRESS_DRAIN_GRACE_MS: "0", ...more })),
        Layer.provide(Logger.layer([Logger.make(({ message }) => void logs.push(message))])),
        Layer.provide(Layer.succeed(Metric.MetricRegistry, registry)),
      ),
      scope,
    ),
  )
  const proxy = Context.get(context, MachineProxy)
  return {
    proxy,
    port: proxy.address.port,
    prometheus: () =>
      Effect.runSync(PrometheusMetrics.format().pipe(Effect.provideService(Metric.MetricRegistry, registry))),
    stop: () => Effect.runPromise(Scope.close(scope, Exit.void)),
    [Symbol.asyncDispose]: () => Effect.runPromise(Scope.close(scope, Exit.void)),
  }
}

/** An open WebSocket through the proxy. */
const upgrade = async (port: number, appPort: number) => {
  const socket = net.connect(port, "127.0.0.1")
  socket.write(
    [
      "GET /ws HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-ticket: ${ticketFor(`localhost:${appPort}`)}`,
      `x-iterate-proxy-target-host: localhost:${appPort}`,
      "Connection: Upgrade",
      "Upgrade: websocket",
      "Sec-WebSocket-Version: 13",
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      "",
      "",
    ].join("\r\n"),
  )
  const [head] = (await once(socket, "data")) as [Buffer]
  expect(head.toString("latin1")).toMatch(/^HTTP\/1\.1 101 /)
  return socket
}

const startSocketApp = async () => {
  const server = http.createServer()
  server.on("upgrade", (_request, socket) => {
    socket.on("error", () => undefined)
    socket.write(
      "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" +
        "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    )
    socket.on("end", () => socket.end())
    socket.resume()
  })
  const port = await listen(server)
  return { port, [Symbol.asyncDispose]: async () => void server.close() }
}

describe("the layer", () => {
  it("listens while its scope is open", async () => {
    await using app = await startApp()
    const running = await start()
    expect((await get(running.port, app.port)).status).toBe(200)
    await running.stop()
    await expect(get(running.port, app.port)).rejects.toThrow("ECONNREFUSED")
  })

  it("lets an in-flight request finish when its scope closes", async () => {
    let finish: () => void = () => undefined
    const server = http.createServer((_request, response) => {
      response.write("first ")
      finish = () => response.end("last")
    })
    const appPort = await listen(server)
    const running = await start({ INGRESS_DRAIN_GRACE_MS: "1" })
    const asked = once(server, "request")
    const response = get(running.port, appPort)
    await asked
    const stopped = running.stop()
    const connects = () =>
      new Promise((resolve) => {
        const socket = net.connect(running.port, "127.0.0.1", () => resolve(socket.destroy()))
        socket.on("error", (error: NodeJS.ErrnoException) => resolve(error.code))
      })
    await expect.poll(connects).toBe("ECONNREFUSED")
    finish()
    expect((await response).body).toContain("last")
    await stopped
    server.close()
  })

  it("ends what is left at the deadline", async () => {
    const server = http.createServer((_request, response) => void response.write("first "))
    const appPort = await listen(server)
    const running = await start({ INGRESS_DRAIN_MS: "50" })
    const asked = once(server, "request")
    const outcome = get(running.port, appPort).then(() => "complete", String)
    await asked
    await running.stop()
    // Cut off, not ended.
    expect(await outcome).toContain("ECONNRESET")
    server.closeAllConnections()
    server.close()
  })

  it("fails with CannotListen on a port in use", async () => {
    const server = net.createServer()
    const port = await listen(server)
    const error = await start({ PORT: String(port) }).then(
      () => undefined,
      (error: unknown) => error,
    )
    expect(error).toMatchObject({ _tag: "CannotListen", port, cause: { code: "EADDRINUSE" } })
    server.close()
  })

  it("speaks TLS by the key in a file, and says its pin; fails with CannotListen if the file cannot be used", async () => {
    const folder = mkdtempSync(join(tmpdir(), "machine-proxy-"))
    const path = join(folder, "tls.pem")
    {
      await using running = await start({ INGRESS_TLS_KEY_FILE: path })
      const socket = connectTls({ port: running.port, host: "127.0.0.1", rejectUnauthorized: false })
      await once(socket, "secureConnect")
      expect(running.proxy.pin).toBe(publicKeyPin(socket.getPeerX509Certificate()!.publicKey))
      socket.destroy()
    }
    {
      await using plain = await start()
      expect(plain.proxy.pin).toBeUndefined()
    }
    writeFileSync(path, "s3cr3t")
    const error = await start({ INGRESS_TLS_KEY_FILE: path }).then(
      () => undefined,
      (error: unknown) => error,
    )
    const message = expect.stringMatching(/^INGRESS_TLS_KEY_FILE ".*" has no private key/) as unknown
    expect(error).toMatchObject({ _tag: "CannotListen", cause: { message } })
    rmSync(folder, { recursive: true })
  })

  it("reads its file of keys again on request, and keeps the current ones when the file is invalid", async () => {
    const folder = mkdtempSync(join(tmpdir(), "machine-proxy-"))
    const path = join(folder, "keys.json")
    writeFileSync(path, JSON.stringify([verification]))
    const { INGRESS_TICKET_KEYS: _, ...rest } = environment
    const scope = Effect.runSync(Scope.make())
    const context = await Effect.runPromise(
      Layer.buildWithScope(
        layerConfig().pipe(Layer.provide(provide({ ...rest, INGRESS_TICKET_KEYS_FILE: path }))),
        scope,
      ),
    )
    const { address, reloadKeys } = Context.get(context, MachineProxy)
    await using app = await startApp()
    writeFileSync(path, "s3cr3t")
    const refused = await Effect.runPromise(Effect.flip(reloadKeys))
    expect(refused._tag).toBe("KeysRefused")
    expect(refused.message).not.toContain("s3cr3t")
    expect((await get(address.port, app.port)).status).toBe(200)
    writeFileSync(path, JSON.stringify([(await generateTicketKeys("k2")).verification]))
    expect(await Effect.runPromise(reloadKeys)).toEqual(["k2"])
    expect((await get(address.port, app.port)).status).toBe(401)
    await Effect.runPromise(Scope.close(scope, Exit.void))
    rmSync(folder, { recursive: true })
  })

  it("logs requests as INGRESS_LOG says, without the query", async () => {
    await using app = await startApp()
    const logs: unknown[] = []
    await using running = await start({ INGRESS_LOG: "access" }, logs)
    await get(running.port, app.port, [], "/a?token=s3cr3t")
    await expect.poll(() => JSON.stringify(logs)).toContain('\\"path\\":\\"/a\\"')
    expect(JSON.stringify(logs)).not.toContain("s3cr3t")
  })
})

describe("its configuration", () => {
  const refused = (record: Record<string, string>) =>
    Effect.runPromise(Effect.flip(Effect.provide(config(), provide(record))))

  it("has the command's problems, each of them", async () => {
    const record = { ...environment, PORT: "80a", INGRESS_DENY_PORTS: "", INGRESS_KEEP_ALIVE_MS: "1" }
    const read = readConfig(record, { insecure: false })
    const problems = "problems" in read ? read.problems : []
    expect(problems).toHaveLength(3)
    const error = await refused(record)
    expect(error._tag).toBe("ConfigError")
    for (const problem of problems) expect(error.message).toContain(problem)
  })

  it("has its keys redacted, and shows none in an error", async () => {
    const settings = await Effect.runPromise(
      Effect.provide(config(), provide({ ...environment, INGRESS_TICKET_KEYS: JSON.stringify([secret]) })),
    )
    expect(JSON.stringify(settings) + inspect(settings)).not.toContain("s3cr3t")
    const error = await refused({ ...environment, INGRESS_TICKET_KEYS: JSON.stringify([{ ...secret, alg: "none" }]) })
    expect(String(error) + JSON.stringify(error)).not.toContain("s3cr3t")
  })

  it("is insecure only by its flag", async () => {
    const { INGRESS_TICKET_KEYS: _, ...rest } = environment
    expect((await refused(rest)).message).toContain("INGRESS_TICKET_KEYS")
    const settings = await Effect.runPromise(Effect.provide(config({ insecure: true }), provide(rest)))
    expect(settings.keys).toBe("insecure")
  })

  it("refuses an empty variable of the environment, which Effect's own provider treats as missing", async () => {
    const before = { ...process.env }
    Object.assign(process.env, environment, { INGRESS_ALLOW_PORTS: "" })
    try {
      const error = await Effect.runPromise(Effect.flip(Effect.scoped(Layer.build(layerConfig()))))
      expect(String(error)).toContain('INGRESS_ALLOW_PORTS: ""')
    } finally {
      process.env = before
    }
  })
})

describe("its options", () => {
  const valid: LayerOptions = {
    host: "127.0.0.1",
    port: 0,
    log: "off",
    drainMs: 0,
    keys: Redacted.make([verification]),
    proxy: { machine },
  }

  it("are what the layer runs with", async () => {
    const address = await Effect.runPromise(
      MachineProxy.use((proxy) => Effect.succeed(proxy.address)).pipe(Effect.provide(layer(valid))),
    )
    expect(address.host).toBe("127.0.0.1")
  })

  it.each([
    ["host must be a non-empty string, got undefined", { host: undefined }],
    ["port must be an integer from 0 to 65535, got NaN", { port: Number.NaN }],
    ["log must be", { log: "loud" }],
    ["drainMs must be a number from 0 up, got -1", { drainMs: -1 }],
    ["graceMs must be a number from 0 up, got NaN", { graceMs: Number.NaN }],
    ["readyFd must be an integer from 3 to 65535, got 2", { readyFd: 2 }],
    ["keysFile must be a non-empty string, got an empty string", { keysFile: "" }],
    ['keys must be redacted verification keys or "insecure", got an array', { keys: [secret] }],
    ["keys must be redacted", { keys: undefined }],
    ["keys must be a non-empty array of verification keys", { keys: Redacted.make([]) }],
    ["keys[0]: a key must have alg", { keys: Redacted.make([{ ...secret, alg: "none" }]) }],
    ["proxy must be an object, got undefined", { proxy: undefined }],
    ["machine must be a non-empty string", { proxy: {} }],
    ["ports.deny must be an array, got a string", { proxy: { machine, ports: { deny: "22" } } }],
    ["proxy.keys is not an option", { proxy: { machine, keys: "insecure" } }],
    ["proxy.onEvent is not an option", { proxy: { machine, onEvent: () => undefined } }],
    ["hots is not an option (did you mean host?)", { hots: "::" }],
  ])("are checked when they are given: %s", (message, options) => {
    const make = () => layer({ ...valid, ...options } as unknown as LayerOptions)
    expect(make).toThrow(TypeError)
    expect(make).toThrow(/^layer: /)
    expect(make).toThrow(message)
    expect(make).not.toThrow("s3cr3t")
  })

  it.each([
    ["insecur is not an option (did you mean insecure?)", { insecur: true }],
    ["insecure must be true or false, got a string", { insecure: "yes" }],
    ["options must be an object, got null", null],
  ])("of its configuration are checked as well: %s", (message, flags) => {
    for (const make of [config, layerConfig]) {
      expect(() => make(flags as { insecure?: boolean })).toThrow(TypeError)
      expect(() => make(flags as { insecure?: boolean })).toThrow(message)
    }
  })
})

describe("its metrics", () => {
  it("count requests, bytes, durations and failures as Prometheus text, without hosts and paths", async () => {
    await using app = await startApp()
    await using running = await start()
    const closed = await closedPort()
    await get(running.port, app.port, [], "/s3cr3t-path")
    await get(running.port, app.port)
    await get(running.port, closed)
    await raw(running.port, ["GET / HTTP/1.1", "Host: s3cr3t-host"])
    for (const method of ["PROPFIND", "REPORT"]) {
      await raw(running.port, [
        `${method} / HTTP/1.1`,
        "Host: m",
        `x-iterate-proxy-ticket: ${ticketFor(`localhost:${app.port}`)}`,
        `x-iterate-proxy-target-host: localhost:${app.port}`,
      ])
    }
    await raw(
      running.port,
      [
        "POST /echo HTTP/1.1",
        "Host: m",
        `x-iterate-proxy-ticket: ${ticketFor(`localhost:${app.port}`)}`,
        `x-iterate-proxy-target-host: localhost:${app.port}`,
        "Content-Length: 5",
      ],
      "hello",
    )
    await expect.poll(running.prometheus).toContain('ingress_requests_total{method="POST",status="2xx"} 1')
    const text = running.prometheus()
    expect(text).toContain('ingress_requests_total{method="GET",status="2xx"} 2')
    expect(text).toContain('ingress_requests_total{method="GET",status="5xx"} 1')
    expect(text).toContain('ingress_requests_total{method="GET",status="4xx"} 1')
    expect(text).toContain('ingress_requests_total{method="other",status="2xx"} 2')
    expect(text).toContain('ingress_errors_total{code="PORT_CLOSED"} 1')
    expect(text).toContain('ingress_errors_total{code="TICKET_REQUIRED"} 1')
    expect(text).toContain("ingress_received_bytes_total 5")
    expect(text).toMatch(/ingress_sent_bytes_total [1-9]/)
    expect(text).toContain("# TYPE ingress_request_duration_seconds histogram")
    expect(text).toContain("ingress_request_duration_seconds_count 7")
    expect(text).toContain('ingress_request_duration_seconds_bucket{le="60"} 7')
    expect(text).not.toContain("s3cr3t")
    expect(text).not.toContain(String(app.port))
  })

  it("show open connections and WebSockets as they are when read", async () => {
    await using app = await startSocketApp()
    await using running = await start()
    const gauges = () => running.prometheus().match(/^ingress_open_\w+ \d+$/gm)
    expect(gauges()).toEqual(["ingress_open_connections 0", "ingress_open_websockets 0"])
    const idle = net.connect(running.port, "127.0.0.1")
    const sockets = [await upgrade(running.port, app.port), await upgrade(running.port, app.port)]
    await expect.poll(gauges).toEqual(["ingress_open_connections 3", "ingress_open_websockets 2"])
    expect(Effect.runSync(running.proxy.connections)).toBe(3)
    idle.destroy()
    for (const socket of sockets) socket.destroy()
    await expect.poll(gauges).toEqual(["ingress_open_connections 0", "ingress_open_websockets 0"])
    expect(running.prometheus()).toContain('ingress_requests_total{method="GET",status="1xx"} 2')
    expect(running.prometheus()).not.toContain("ingress_request_duration_seconds_count")
  })

  it("count a response that its app breaks off", async () => {
    const server = http.createServer((_request, response) => {
      response.write("first ", () => response.destroy())
    })
    const appPort = await listen(server)
    await using running = await start()
    expect(running.prometheus()).not.toContain("ingress_incomplete_total")
    const response = begin(running.port, appPort)
    await response.closed
    await expect.poll(running.prometheus).toContain("ingress_incomplete_total 1")
    server.close()
  })

  it("count internal errors by code", () => {
    const registry: Metric.MetricRegistry = new Map()
    const meter = makeMeter(Context.make(Metric.MetricRegistry, registry))
    meter.record({ type: "error", tag: "ProxyFailed", reason: "s3cr3t", cause: new Error("s3cr3t") })
    const text = Effect.runSync(PrometheusMetrics.format().pipe(Effect.provideService(Metric.MetricRegistry, registry)))
    expect(text).toContain('ingress_internal_errors_total{code="PROXY_FAILED"} 1')
    expect(text).not.toContain("s3cr3t")
  })

  it("lose their gauges with the scope", async () => {
    const running = await start()
    await running.stop()
    expect(running.prometheus()).not.toContain("ingress_open_connections")
  })

  it("are exported by OTLP when its layer is provided", async () => {
    const posted: string[] = []
    const collector = http.createServer((request, response) => {
      let text = ""
      request.setEncoding("utf8").on("data", (chunk: string) => (text += chunk))
      request.on("end", () => {
        if (request.url === "/v1/metrics") posted.push(text)
        response.end("{}")
      })
    })
    const collectorPort = await listen(collector)
    await using app = await startApp()
    const otlp = Otlp.layerJson({
      baseUrl: `http://127.0.0.1:${collectorPort}`,
      resource: { serviceName: "machine-proxy" },
      metricsExportInterval: "50 millis",
    }).pipe(Layer.provide(FetchHttpClient.layer))
    const scope = Effect.runSync(Scope.make())
    const context = await Effect.runPromise(
      Layer.buildWithScope(
        layerConfig().pipe(
          Layer.provide(provide(environment)),
          Layer.provide(otlp),
          Layer.provide(Layer.succeed(Metric.MetricRegistry, new Map())),
        ),
        scope,
      ),
    )
    await get(Context.get(context, MachineProxy).address.port, app.port)
    await expect.poll(() => posted.join("\n"), { timeout: 60_000 }).toContain('"name":"ingress_requests_total"')
    expect(posted.join("\n")).toContain('"name":"ingress_open_connections"')
    expect(posted.join("\n")).toContain('{"key":"status","value":{"stringValue":"2xx"}}')
    await Effect.runPromise(Scope.close(scope, Exit.void))
    collector.closeAllConnections()
    collector.close()
  })
})
