import { generateTicketKeys } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions } from "../src/transport/machine-fetcher.ts"
import { local } from "../src/adapters/local.ts"
import type { Endpoint, Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { makeMachines } from "../src/machines/machines.ts"

const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
const fake = (more: Partial<MachineProvider> = {}): MachineProvider => ({
  type: "fake",
  capabilities: { runtimes: ["node"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
  resolve: async () => ({ origin: "http://127.0.0.1:1", epoch: "1", ttlMs: 0 }),
  ...more,
})
const failed = (provider: MachineProvider, record: unknown = machine): Promise<unknown> =>
  machineFetcher(
    provider,
    record as Machine,
  )(new Request("http://app.test/")).then(
    () => "answered",
    (error: unknown) => error,
  )

describe("providers", () => {
  it.each([
    [undefined, "makeMachines: providers must be an array, got undefined"],
    [[local], "providers[0] must be what an adapter gives: fly({ token }), not fly"],
    [[local(), null], "providers[1] must be what an adapter gives: fly({ token }), not fly"],
    [[{ ...fake(), type: "" }], "providers[0] must be what an adapter gives: fly({ token }), not fly"],
    [
      [{ ...fake(), capabilities: {} }],
      "providers[0].capabilities.interceptedHeaders must be an array of lower-case names",
    ],
    [[fake(), local(), fake()], "providers[2] has the type fake, as another one before it"],
  ])("are no %j", (providers, message) => {
    expect(() => makeMachines({ providers: providers as never })).toThrow(new TypeError(message))
  })

  it("may be none, which is said of each record", async () => {
    expect(String(await failed(fake({ type: "other" })))).toContain("type must be one of other")
  })
})

describe("a record", () => {
  it.each([
    [{ ...machine, metadata: undefined }, "metadata"],
    [{ ...machine, metadata: `{"region":"north"}` }, "metadata"],
    [{ ...machine, metadata: ["north"] }, "metadata"],
    [{ ...machine, externalId: undefined }, "externalId"],
    [{ ...machine, id: "" }, "id"],
    [{ ...machine, id: 7 }, "id"],
    [{ ...machine, type: null }, "type"],
  ])("that a database gave as %j is told by its field", async (record, field) => {
    expect(await failed(fake(), record)).toMatchObject({ _tag: "MachineRecordInvalid", field })
  })
})

describe("an endpoint", () => {
  const good: Endpoint = { origin: "http://127.0.0.1:1", epoch: "1", ttlMs: 0 }
  it.each([
    ["origin", { ...good, origin: 7 }],
    ["epoch", { ...good, epoch: undefined }],
    ["ttlMs", { ...good, ttlMs: Number.NaN }],
    ["ttlMs", { ...good, ttlMs: undefined }],
    ["ttlMs", { ...good, ttlMs: -1 }],
    ["expiresAt", { ...good, expiresAt: 1_795_717_426 }],
    ["expiresAt", { ...good, expiresAt: Number.NaN }],
    ["headers", { ...good, headers: { "x-token": undefined } }],
    ["headers", { ...good, headers: new Headers({ "x-token": "secret" }) }],
    ["headers", { ...good, headers: [["x-token", "secret"]] }],
    ["headers", { ...good, headers: null }],
    ["fetch", { ...good, fetch: {} }],
    ["machineProxy", { ...good, machineProxy: true }],
    ["machineProxy", { ...good, machineProxy: null }],
    ["addresses", { ...good, addresses: ["10.0.0.0/8"] }],
    ["addresses", { ...good, addresses: null }],
  ])("of which %s is wrong is never used, and says so", async (field, endpoint) => {
    const error = await failed(fake({ resolve: async () => endpoint as never }))
    expect(error).toMatchObject({ _tag: "MachineRecordInvalid", field: `endpoint.${field}` })
    expect(String(error)).not.toContain("secret")
  })

  it.each([undefined, null, "http://127.0.0.1:1"])("that is %j is the adapter's failure", async (endpoint) => {
    const error = await failed(fake({ resolve: async () => endpoint as never }))
    expect(["ProviderUnavailable", "MachineRecordInvalid"]).toContain((error as { readonly _tag?: string })._tag)
  })
})

describe("a verdict", () => {
  const answers = (classify: unknown): MachineProvider =>
    fake({
      resolve: async () => ({
        origin: "http://machine.invalid",
        epoch: "1",
        ttlMs: 0,
        fetch: async () => new Response("from the platform", { status: 400 }),
      }),
      classify: classify as NonNullable<MachineProvider["classify"]>,
    })
  it.each([
    ["undefined", () => undefined],
    ["null", () => null],
    ["another word", () => "retry"],
    ["a promise", async () => "refresh-credentials"],
    ["an error of its own", () => new Error("secret")],
  ])("that is %s is ProviderUnavailable", async (_, classify) => {
    const error = await failed(answers(classify))
    expect(error).toMatchObject({ _tag: "ProviderUnavailable", reason: "the adapter failed" })
    expect(String(error)).not.toContain("secret")
  })
})

describe("a fetcher", () => {
  it("wants the half of a key that signs, and a port", async () => {
    const { verification } = await generateTicketKeys("test")
    // @ts-expect-error a public half does not sign
    const options: FetcherOptions = { signingKey: verification }
    expect(() => machineFetcher(fake(), machine, options)).toThrow(`the private half, with "d"`)
    for (const port of [0, 65_536, 1.5]) {
      expect(() => machineFetcher(fake(), machine, { port })).toThrow("port must be an integer, 1 to 65535")
    }
  })
})
