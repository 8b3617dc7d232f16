/** Options are checked when they are given, and a wrong one is named by its function, its name and what is accepted. */
import { inspect } from "node:util"
import { generateTicketKeys, hopHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { local } from "../src/adapters/local.ts"
import { url } from "../src/adapters/url.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { layer } from "../src/effect.ts"
import { makeMachines } from "../src/machines/machines.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

const machine: Machine = { id: "mach_1", type: "local", externalId: "m1", metadata: { port: 1 } }
const functions: [owner: string, run: (options: Record<string, unknown>) => unknown][] = [
  ["makeMachines", (options) => makeMachines({ providers: [local()], ...options })],
  ["layer", (options) => layer({ providers: [local()], ...options })],
  ["machineFetcher", (options) => machineFetcher(local(), machine, options)],
]

/** An app's own copy of the stamp would pass. */
const otherStamp = { ...hopHeaderNames("x-acme"), stamp: "x-other-stamp" }
const MS = "from 1 to 2147483647"
const FROM_0 = "from 0 to 2147483647"

describe.each(functions)("%s", (owner, run) => {
  it.each([
    ["wakeTimeout", 1, `wakeTimeout is not an option (did you mean wakeTimeoutMs?)`],
    ["headerName", {}, `headerName is not an option (did you mean headerNames?)`],
    ["onEvents", () => {}, `onEvents is not an option (did you mean onEvent?)`],
    ["wakeTimeoutMs", Number.NaN, `wakeTimeoutMs must be a number ${MS}, got NaN`],
    ["wakeTimeoutMs", 0, `wakeTimeoutMs must be a number ${MS}, got 0`],
    ["wakeTimeoutMs", Infinity, `wakeTimeoutMs must be a number ${MS}, got Infinity`],
    ["wakeTimeoutMs", "30s", `wakeTimeoutMs must be a number ${MS}, got a string`],
    ["resolveTimeoutMs", -1, `resolveTimeoutMs must be a number ${MS}, got -1`],
    ["startupGraceMs", -1, `startupGraceMs must be a number ${FROM_0}, got -1`],
    ["wakeQueue", 1.5, "wakeQueue must be an integer from 0 up, got 1.5"],
    ["wakeQueue", Number.NaN, "wakeQueue must be an integer from 0 up, got NaN"],
    ["wake", "false", "wake must be true or false, got a string"],
    ["wake", null, "wake must be true or false, got null"],
    ["readinessProbe", {}, "readinessProbe must be a function, got an object"],
    ["onEvent", Promise.resolve(), "onEvent must be a function, got a promise"],
    ["headerNames", {}, "headerNames must be what hopHeaderNames returns, got an object"],
    ["headerNames", "x-acme", "headerNames must be what hopHeaderNames returns, got a string"],
    ["headerNames", otherStamp, "headerNames must be what hopHeaderNames returns, got an object"],
  ])("refuses %s %s", (name, value, message) => {
    expect(() => run({ [name]: value })).toThrow(new TypeError(`${owner}: ${message}`))
  })

  it("takes all options that exist, and those that are undefined", () => {
    const all = {
      headerNames: hopHeaderNames("x-acme"),
      startupGraceMs: 0,
      resolveTimeoutMs: 1,
      wake: false,
      wakeTimeoutMs: 1,
      wakeQueue: 0,
      readinessProbe: () => Promise.reject(new Error("no")),
      onEvent: () => {},
    }
    expect(() => run(all)).not.toThrow()
    expect(() => run(Object.fromEntries(Object.keys(all).map((name) => [name, undefined])))).not.toThrow()
  })
})

describe("makeMachines and layer", () => {
  it.each([undefined, null, "options", []])("refuse %j", (options) => {
    expect(() => makeMachines(options as never)).toThrow("makeMachines: options must be an object, got ")
    expect(() => layer(options as never)).toThrow("layer: options must be an object, got ")
  })

  it("want providers", () => {
    expect(() => makeMachines({} as never)).toThrow("makeMachines: providers must be an array, got undefined")
    expect(() => layer({ providers: {} } as never)).toThrow("layer: providers must be an array, got an object")
  })
})

describe("machineFetcher", () => {
  it.each([
    ["ports", 3000, "ports is not an option (did you mean port?)"],
    ["signing", {}, "signing is not an option (did you mean signingKey?)"],
    ["port", "3000", "port must be an integer, 1 to 65535, got a string"],
    ["port", Number.NaN, "port must be an integer, 1 to 65535, got NaN"],
    ["headersTimeoutMs", -1, `headersTimeoutMs must be a number ${FROM_0}, got -1`],
    ["pseudonym", "two words", "pseudonym must be a token (RFC 9110 §5.6.2), got a string"],
    ["waitUntil", true, "waitUntil must be a function, got true"],
    ["signingKey", "canary", "signingKey: a key must be a JSON Web Key object"],
    ["signingKey", null, "signingKey: a key must be a JSON Web Key object"],
    ["providers", [], "providers is not an option"],
  ])("refuses %s %j", (name, value, message) => {
    expect(() => machineFetcher(local(), machine, { [name]: value })).toThrow(`machineFetcher: ${message}`)
  })

  it.each([undefined, null, "mach_1"])("refuses %j for a machine", (value) => {
    expect(() => machineFetcher(local(), value as never)).toThrow(
      "machineFetcher: machine must be an object with id, type, externalId and metadata",
    )
  })

  it.each([undefined, null, local])("refuses %j for a provider", (value) => {
    expect(() => machineFetcher(value as never, machine)).toThrow(/must be what an adapter gives/)
  })
})

describe("a secret", () => {
  const canary = "canary-7f3a"
  const shown = (value: unknown): string => {
    const found: string[] = []
    const seen = new Set<unknown>()
    const walk = (value: unknown): void => {
      if (typeof value === "string") found.push(value)
      if ((typeof value !== "object" && typeof value !== "function") || value === null || seen.has(value)) return
      seen.add(value)
      if (value instanceof Map) for (const entry of value) walk(entry)
      if (value instanceof Set) for (const entry of value) walk(entry)
      for (const key of Reflect.ownKeys(value)) {
        const { value: inner } = Object.getOwnPropertyDescriptor(value, key)!
        found.push(String(key))
        walk(inner)
      }
      walk(Object.getPrototypeOf(value))
    }
    walk(value)
    return [JSON.stringify(value), inspect(value, { depth: Infinity, showHidden: true }), ...found].join("\n")
  }

  it("is found by this test where it can be", () => {
    expect(shown({ a: { [Symbol("b")]: new Map([[1, [canary]]]) } })).toContain(canary)
  })

  it("is in nothing that leads from a provider, a fetcher, machines or their layer", async () => {
    const { signing } = await generateTicketKeys("test")
    const provider: MachineProvider = url({ headers: { authorization: `Bearer ${canary}` } })
    const machines = makeMachines({ providers: [provider] })
    const fetcher = machineFetcher(provider, machine, { signingKey: signing })
    for (const value of [provider, machines, machines.watch, fetcher, layer({ providers: [provider] })]) {
      expect(shown(value)).not.toContain(canary)
      expect(shown(value)).not.toContain(signing.d)
    }
  })
})
