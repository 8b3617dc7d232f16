import * as net from "node:net"
import { generateTicketKeys, hopHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { createMachineProxy } from "../src/machine-proxy.ts"
import type { MachineProxyOptions } from "../src/machine-proxy.ts"
import { get, listen, machine, raw, signing, startApp, startProxy, verification } from "./harness.ts"

const make = (options: object) => () => createMachineProxy({ machine, keys: [verification], ...options })
const secret = { kty: "oct", alg: "HS256", kid: "k2", k: "s3cr3t-".repeat(8) }

describe("options", () => {
  it.each([
    ["machine", { machine: "" }],
    ["keys", { keys: [] }],
    ["keys", { keys: undefined }],
    ["keys", { keys: "open" }],
    ["keys[0]", { keys: [{ kid: "x" }] }],
    ["keys[0]", { keys: [signing] }],
    ["ports.allow", { ports: { allow: [[5, 4]] } }],
    ["ports.deny", { ports: { deny: [0] } }],
    ["host", { host: "public" }],
    ["defaultPort", { defaultPort: 0 }],
    ["loopback", { loopback: "10.0.0.1" }],
    ["loopback", { loopback: "loopback" }],
    ["loopback", { loopback: null }],
    ["defaultPort", { defaultPort: "3000" }],
  ])("are refused at creation: %s", (field, options) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(field)
  })

  it.each([
    ["machine must be a non-empty string, got undefined", { machine: undefined }],
    ["machine must be a non-empty string, got 7", { machine: 7 }],
    ["keys must be a non-empty array of verification keys, a function that returns an array, or", { keys: {} }],
    ["got a promise", { keys: Promise.resolve([verification]) }],
    ["keys() must return an array, got a promise", { keys: async () => [verification] }],
    ["keys() must return an array, got undefined", { keys: () => undefined }],
    ["keys()[1]: an HS256 key must have", { keys: () => [verification, { ...secret, k: "s3cr3t" }] }],
    ['keys[1]: an EdDSA key must be the public half, without "d" (kid "k1")', { keys: [secret, signing] }],
    ['keys[1]: an earlier key has the same kid (kid "k2")', { keys: [secret, { ...verification, kid: "k2" }] }],
    ["keys[0]: x of an EdDSA key must be a public key", { keys: [{ ...verification, x: "A".repeat(43) }] }],
    ["keys()[0]: x of an EdDSA key must be a public key", { keys: () => [{ ...verification, x: "A".repeat(43) }] }],
    ["keys[0]: a key must be a JSON Web Key object", { keys: [null] }],
    ["ports must be an object, got undefined", { ports: undefined }],
    ["ports must be an object, got an array", { ports: [3000] }],
    ["ports.alow is not an option (did you mean ports.allow?)", { ports: { alow: [3000] } }],
    ["ports.allow must be an array, got 3000", { ports: { allow: 3000 } }],
    ["ports.allow must be an array of ports, got undefined", { ports: { allow: undefined } }],
    ["ports.deny must be an array of ports, got undefined", { ports: { deny: undefined } }],
    ["ports.allow[1] must be a port or [from, to], 1 to 65535, got NaN", { ports: { allow: [1, Number.NaN] } }],
    ["ports.allow[0] must be a port or [from, to], 1 to 65535, got [1, 2, 3]", { ports: { allow: [[1, 2, 3]] } }],
    ["ports.deny[0] must be a port or [from, to], 1 to 65535, got null", { ports: { deny: [null] } }],
    ["ports.deny[0] must be a port or [from, to], 1 to 65535, got 22", { ports: { deny: ["22"] } }],
    ['host must be "localhost" or "preserve", got a string', { host: "keep" }],
    ["defaultPort must be a port, 1 to 65535, got NaN", { defaultPort: Number.NaN }],
    ["loopback must be 127.x.y.z or ::1, got a string", { loopback: "127.1" }],
    ["headerNames must be what hopHeaderNames returns, got a string", { headerNames: "x-acme" }],
    ["headerNames must be what", { headerNames: { ...hopHeaderNames("x-acme"), ticket: "x-other-ticket" } }],
    ["headerNames must be what", { headerNames: { prefix: "x-acme-" } }],
    ["limits.maxConnections must be a number from 0 up, got NaN", { limits: { maxConnections: Number.NaN } }],
    ["limits.lingerMs must be a number from 0 up, got -1", { limits: { lingerMs: -1 } }],
    ["limits.maxConnection is not an option (did you mean limits.maxConnections?)", { limits: { maxConnection: 1 } }],
    ["onEvent must be a function, got an object", { onEvent: {} }],
    ["onUpgrade must be a function, got a string", { onUpgrade: "log" }],
    ["hostPolicy is not an option", { hostPolicy: "preserve" }],
    ["onUpgrad is not an option (did you mean onUpgrade?)", { onUpgrad: () => undefined }],
  ])("are reported by name and kind: %s", (message, options) => {
    expect(make(options)).toThrow(TypeError)
    expect(make(options)).toThrow(/^createMachineProxy: /)
    expect(make(options)).toThrow(message)
    expect(make(options)).not.toThrow("s3cr3t")
  })

  it.each([[undefined], [null], ["mach_a"], [[]]])("must be an object, not %j", (options) => {
    expect(() => createMachineProxy(options as unknown as MachineProxyOptions)).toThrow(
      /^createMachineProxy: options must be an object, got /,
    )
  })

  it("may be every one at once", () => {
    const every: Required<MachineProxyOptions> = {
      machine,
      keys: [verification],
      ports: { allow: [3000, [4000, 4999]], deny: [] },
      host: "preserve",
      defaultPort: 8000,
      loopback: "::1",
      headerNames: hopHeaderNames("x-acme"),
      errorDocs: "https://docs.example.com/{code}",
      limits: { maxConnections: 5, tunnelIdleTimeoutMs: 0 },
      onEvent: () => undefined,
      onUpgrade: () => undefined,
      beginTrace: () => undefined,
    }
    expect(make(every)).not.toThrow()
  })

  it("are not changed by what happens to the caller's array of keys later", async () => {
    await using app = await startApp()
    const keys = [(await generateTicketKeys("k2")).verification]
    await using proxy = await startProxy({ keys })
    keys.push(verification)
    expect((await get(proxy.port, app.port)).status).toBe(401)
  })

  it("work with a listener of the caller's", async () => {
    const server = net.createServer(make({})().connection)
    const port = await listen(server)
    expect((await raw(port, ["GET /__ingress/health HTTP/1.1", "Host: x"])).status).toBe(200)
    server.close()
  })
})

describe("keys that a function returns", () => {
  it("refuse every request while they are none or invalid", async () => {
    await using app = await startApp()
    let keys: unknown = []
    await using proxy = await startProxy({ keys: () => keys as readonly [] })
    expect((await get(proxy.port, app.port)).status).toBe(401)
    for (const invalid of [[signing], [null], undefined, Promise.resolve([verification])]) {
      keys = invalid
      expect((await get(proxy.port, app.port)).status).toBe(401)
    }
    keys = [verification]
    expect((await get(proxy.port, app.port)).status).toBe(200)
  })
})
