import { expect, it } from "vitest"
import { layer as machines } from "@project-ingress/providers/effect"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { handle, layerMemory } from "../src/effect.ts"
import type { Sender, VisitorRequest } from "../src/effect.ts"
import { fake, hostnames, keys, machine, values } from "./fakes.ts"

const inbound = (host: string): VisitorRequest => ({
  method: "GET",
  host,
  path: "/",
  headers: [],
  scheme: "https",
  upgrade: false,
  signal: new AbortController().signal,
})
/** A transport that answers with what it was told to send. */
const echo: Sender<readonly string[]> = {
  send: ({ headers }) =>
    Effect.succeed({
      status: 200,
      header: (name) => (name === "x-iterate-proxy-stamp" ? "unproven" : undefined),
      response: headers,
    }),
  discard: () => undefined,
  replayable: () => true,
}
const program = handle({ grammar: hostnames, signingKey: keys.signing, unprovenMachines: true })
const run = (host: string) =>
  program(inbound(host), echo).pipe(
    Effect.provide(
      Layer.mergeAll(layerMemory({ "p:misha": { machine: machine("mach_1") } }), machines({ providers: [fake()] })),
    ),
    Effect.match({ onSuccess: (handled) => handled, onFailure: ({ _tag }) => _tag }),
    Effect.runPromise,
  )

it("is the same program, with its services given as layers", async () => {
  const handled = await run("misha.iterate.app")
  if (typeof handled === "string" || handled._tag !== "Machine") throw new Error("no machine responded")
  expect(handled.route.machine.id).toBe("mach_1")
  expect(values(handled.response, "x-iterate-proxy-target-host")).toEqual(["3000__misha.iterate.app"])
})

it("fails with what a router answers, and with what is left to the caller", async () => {
  expect(await run("nobody.iterate.app")).toBe("RouteNotFound")
  expect(await run("0__x.iterate.app")).toBe("HostnameMalformed")
  expect(await run("example.com")).toBe("HostnameForeign")
})
