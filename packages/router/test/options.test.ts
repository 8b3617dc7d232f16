/** Options are checked when they are given. */
import { inspect } from "node:util"
import { hopHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { serveNode } from "../src/hosts/node.ts"
import { createRouter } from "../src/router.ts"
import type { RouterOptions } from "../src/router.ts"
import { memoryStore } from "../src/stores/memory.ts"
import { fake, hostnames, keys, setup } from "./fakes.ts"

const good = { grammar: hostnames, store: memoryStore(), providers: [fake()], signingKey: keys.signing }
const create = (options: unknown) => createRouter(options as RouterOptions)

describe("createRouter refuses", () => {
  it.each([
    ["nothing", undefined, /options must be an object/],
    ["a misspelt name", { ...good, grammer: hostnames }, /grammer is not an option \(did you mean grammar\?\)/],
    ["no grammar", { ...good, grammar: undefined }, /grammar must be what defineGrammar returns, got undefined/],
    [
      "an invalid grammar",
      { ...good, grammar: { domains: ["iterate.app"] } },
      /grammar must be what defineGrammar returns/,
    ],
    [
      "a grammar that has been through JSON",
      { ...good, grammar: JSON.parse(JSON.stringify(hostnames)) as unknown },
      /grammar must be what defineGrammar returns/,
    ],
    ["no store", { ...good, store: {} }, /store must be a route store: an object with get, got an object/],
    ["a promise for a store", { ...good, store: Promise.resolve(memoryStore()) }, /store must be .* got a promise/],
    ["no providers", { ...good, providers: undefined }, /providers must be an array/],
    ["an adapter's function", { ...good, providers: [fake] }, /providers\[0\]/],
    ["a public key", { ...good, signingKey: keys.verification }, /signingKey: /],
    ["NaN", { ...good, headersTimeoutMs: Number.NaN }, /headersTimeoutMs must be a number .* got NaN/],
    ["a negative number", { ...good, headersTimeoutMs: -1 }, /headersTimeoutMs must be a number .* got -1/],
    [
      "a policy that decides nothing",
      { ...good, policies: [{ name: "x" }] },
      /policies\[0\] must have one of onRequest/,
    ],
    [
      "a policy without a name",
      { ...good, policies: [{ onRoute: () => undefined }] },
      /policies\[0\].name must be a non-empty string/,
    ],
    [
      "a misspelt phase",
      { ...good, policies: [{ name: "x", onRequest: () => undefined, onRout: () => undefined }] },
      /policies\[0\].onRout is not an option \(did you mean policies\[0\].onRoute\?\)/,
    ],
    [
      "a phase that is no function",
      { ...good, policies: [{ name: "x", onRoute: null }] },
      /policies\[0\].onRoute must be a function, got null/,
    ],
    ["a page that is no function", { ...good, errorResponses: { RouteNotFound: "<h1>" } }, /errorResponses must be/],
    ["a page after 2 s", { ...good, machines: { pageAfterMs: 2_000 } }, /machines.pageAfterMs must be .* 1900/],
    ["a hold of no number", { ...good, machines: { holdMs: "1s" } }, /machines.holdMs must be a number/],
    ["a misspelt hold", { ...good, machines: { holdFetch: 1 } }, /machines.holdFetch is not an option/],
    ["no starts", { ...good, machines: { maxStartsPerOwner: 0 } }, /machines.maxStartsPerOwner must be/],
    ["activity that nobody can hear", { ...good, onActivity: true }, /onActivity must be a function/],
    ["activity all the time", { ...good, activityIntervalMs: 0 }, /activityIntervalMs must be a number/],
    [
      "what the router gives to machines itself",
      { ...good, machines: { onEvent: () => undefined } },
      /machines.onEvent is not an option/,
    ],
    [
      "a misspelt tag of an error",
      { ...good, errorResponses: { machineDetatched: () => undefined } },
      /errorResponses must be by the tags of errors: MachineDetached, not machineDetatched/,
    ],
    ["false for a policy", { ...good, policies: [false] }, /policies\[0\] must be an object, got false/],
    [
      "header names by hand",
      { ...good, headerNames: { ticket: "x" } },
      /headerNames must be what hopHeaderNames returns/,
    ],
    [
      "header names of two families",
      { ...good, headerNames: { ...hopHeaderNames("x-acme"), stamp: "x-other-stamp" } },
      /headerNames must be what hopHeaderNames returns/,
    ],
    ["a text for a function", { ...good, onEvent: "console.log" }, /onEvent must be a function, got a string/],
    ["a wrong bound of machines", { ...good, machines: { wakeTimeoutMs: Number.NaN } }, /wakeTimeoutMs/],
    ["an unknown bound of machines", { ...good, machines: { wakeTimeout: 5 } }, /wakeTimeout is not an option/],
  ])("%s", (_, options, message) => {
    expect(() => create(options)).toThrow(TypeError)
    expect(() => create(options)).toThrow(message)
  })

  it("never by repeating a secret", () => {
    const signingKey = { ...keys.signing, alg: "none" }
    const { d } = keys.signing as unknown as { readonly d: string }
    expect(() => create({ ...good, signingKey })).toThrow(expect.not.stringContaining(d))
    expect(() => create({ ...good, onEvent: d })).toThrow(expect.not.stringContaining(d))
  })
})

describe("a listener refuses", () => {
  const host = serveNode(setup().router)
  it.each([
    ["Node's spelling of the address", { host: "127.0.0.1" }, /listen: host is not an option/],
    ["a port alone", 8787, /listen: options must be an object, got 8787/],
    ["NaN", { port: Number.NaN }, /listen: port must be an integer from 0 to 65535, got NaN/],
  ])("%s, and opens nothing", async (_, options, message) => {
    await expect(host.listen(options as object)).rejects.toThrow(message)
    expect(host.connections()).toBe(0)
  })

  it("an invalid deadline", async () => {
    const { close } = await host.listen({ hostname: "127.0.0.1" })
    await expect(close({ deadlineMs: Number.NaN })).rejects.toThrow(
      /close: deadlineMs must be a number from 0 up, got NaN/,
    )
    await close({ deadlineMs: 0 })
  })
})

describe("serveNode refuses", () => {
  const { router } = setup()
  it.each([
    ["what is no router", {}, {}, /router must be what createRouter returned/],
    [
      "a misspelt name",
      router,
      { fallbak: () => new Response() },
      /fallbak is not an option \(did you mean fallback\?\)/,
    ],
    ["a response for a function", router, { fallback: new Response() }, /fallback must be a function/],
    ["a limit that is NaN", router, { limits: { lingerMs: Number.NaN } }, /lingerMs/],
    ["an unknown limit", router, { limits: { maxConnection: 1 } }, /maxConnection/],
  ])("%s", (_, given, options, message) => {
    // The types refuse all of these; a caller without types may give them.
    const untyped = serveNode as (router: unknown, options: unknown) => unknown
    expect(() => untyped(given, options)).toThrow(message)
  })
})

it("nothing of a router shows a key or a token", () => {
  const { d } = keys.signing as unknown as { readonly d: string }
  const store = { get: () => ({ status: "miss" }) as const }
  const router = createRouter({ ...good, store })
  const host = serveNode(router)
  for (const value of [router, host]) {
    const shown = inspect(value, { depth: Infinity, showHidden: true, getters: true }) + (JSON.stringify(value) ?? "")
    expect(shown).not.toContain(d)
  }
})
