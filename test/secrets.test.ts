import { once } from "node:events"
import { createServer } from "node:http"
import { createServer as listen, type AddressInfo, type Server } from "node:net"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { generateTicketKeys, machineKey } from "../packages/forward/src/forward.ts"
import { defineGrammar } from "../packages/hostname/src/hostname.ts"
import { createMachineProxy } from "../packages/machine-proxy/src/machine-proxy.ts"
import { cloudflareContainer } from "../packages/providers/src/adapters/cloudflare/container.ts"
import { cloudflareTunnel } from "../packages/providers/src/adapters/cloudflare/tunnel.ts"
import { daytona } from "../packages/providers/src/adapters/daytona/daytona.ts"
import { docker } from "../packages/providers/src/adapters/docker/docker.ts"
import { e2b } from "../packages/providers/src/adapters/e2b/e2b.ts"
import { cloudflareSandbox } from "../packages/providers/src/adapters/cloudflare/sandbox.ts"
import { fly } from "../packages/providers/src/adapters/fly/fly.ts"
import { sprites } from "../packages/providers/src/adapters/fly/sprites.ts"
import { local } from "../packages/providers/src/adapters/local.ts"
import { url } from "../packages/providers/src/adapters/url.ts"
import { vercelSandbox } from "../packages/providers/src/adapters/vercel-sandbox/vercel-sandbox.ts"
import { machineFetcher, makeMachines } from "../packages/providers/src/providers.ts"
import { serveNode } from "../packages/router/src/hosts/node.ts"
import { createRouter } from "../packages/router/src/router.ts"
import { memoryStore } from "../packages/router/src/stores/memory.ts"
import { leaks } from "./leaks.ts"

const canary = "c4n4rys3cr3t"
// A shared secret of 36 bytes whose base64url holds the canary, and a private key that the runtime made.
const shared = { kty: "oct", alg: "HS256", kid: "shared", k: canary + "x".repeat(36) } as const
const pair = await generateTicketKeys("pair")
const ofMachine = await machineKey(pair.signing, "mach_1")
const privateKey = JSON.parse(JSON.stringify(pair.signing)) as { readonly d: string }
/** What must not be found: the canaries, the private part of the key, and any ticket, which is a permission for a minute. */
const secrets = [canary, privateKey.d, ofMachine.machineSecret, /eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}/]

const pem = (kind: string) => `-----BEGIN ${kind}-----\n${canary}\n-----END ${kind}-----\n`
const servers: Server[] = []
let appPort: number
let proxyPort: number
const proxy = createMachineProxy({ machine: "mach_1", keys: [shared, ofMachine] })
beforeAll(async () => {
  const app = createServer((_, response) => response.end("hello")).listen(0, "127.0.0.1")
  const machine = listen(proxy.connection).listen(0, "127.0.0.1")
  await Promise.all([once(app, "listening"), once(machine, "listening")])
  servers.push(app, machine)
  appPort = (app.address() as AddressInfo).port
  proxyPort = (machine.address() as AddressInfo).port
})
afterAll(async () => {
  await proxy.drain({ deadlineMs: 0 })
  for (const server of servers) server.close()
})

const machine = () => ({ id: "mach_1", type: "local", externalId: "m", metadata: { port: proxyPort } })

describe("no secret can be read from", () => {
  it.each([
    ["fly", () => fly({ token: `FlyV1 ${canary}` })],
    ["sprites", () => sprites({ token: canary, urlToken: canary })],
    ["daytona", () => daytona({ apiKey: canary })],
    ["e2b", () => e2b({ apiKey: canary })],
    ["vercelSandbox", () => vercelSandbox({ token: canary, teamId: "team_1", projectId: "prj_1" })],
    [
      "docker",
      () =>
        docker({
          host: "tcp://127.0.0.1:1",
          tls: { ca: pem("CERTIFICATE"), cert: pem("CERTIFICATE"), key: pem("PRIVATE KEY") },
        }),
    ],
    ["cloudflareTunnel", () => cloudflareTunnel({ access: { clientId: canary, clientSecret: canary } })],
    [
      "cloudflareContainer",
      () => {
        const respond = async () => new Response(canary)
        return cloudflareContainer({ getByName: () => ({ fetch: respond, containerFetch: respond }) })
      },
    ],
    [
      "cloudflareSandbox",
      () => {
        const respond = async () => new Response(canary)
        return cloudflareSandbox({ getByName: () => ({ fetch: respond, containerFetch: respond }) })
      },
    ],
    ["url", () => url({ headers: { "x-token": canary } })],
    ["local", () => local()],
  ])("a provider: %s", (name, make) => {
    expect(leaks(name, make(), secrets)).toEqual([])
  })

  it.each([
    ["a shared secret", shared],
    ["a private key", pair.signing],
  ])("a router that signs with %s, before and after a request", async (_, signingKey) => {
    const router = createRouter({
      grammar: defineGrammar({ domains: ["iterate.app"] }),
      store: memoryStore({ "p:misha": { machine: machine() } }),
      providers: [local(), fly({ token: `FlyV1 ${canary}` })],
      signingKey,
    })
    const host = serveNode(router)
    expect(leaks("router", router, secrets)).toEqual([])
    expect(leaks("host", host, secrets)).toEqual([])
    const response = await router.fetch(new Request(`https://${appPort}__misha.iterate.app/`))
    expect(await response?.text()).toBe("hello")
    expect(leaks("router", router, secrets)).toEqual([])
    expect(leaks("response", response, secrets)).toEqual([])
  })

  it("a fetcher of a machine, and what it is made of, before and after a request", async () => {
    const provider = local()
    const machines = makeMachines({ providers: [provider, fly({ token: `FlyV1 ${canary}` })] })
    const fetcher = machineFetcher(provider, machine(), { port: appPort, signingKey: shared })
    expect(leaks("fetcher", fetcher, secrets)).toEqual([])
    const response = await fetcher(new Request("http://machine.test/"))
    expect(await response.text()).toBe("hello")
    expect(leaks("fetcher", fetcher, secrets)).toEqual([])
    expect(leaks("response", response, secrets)).toEqual([])
    expect(leaks("machines", machines, secrets)).toEqual([])
  })

  it("a machine proxy, before and after a request", () => {
    expect(leaks("proxy", proxy, secrets)).toEqual([])
  })
})

describe("a secret is found", () => {
  class Holder {
    #hidden = canary
    get shown() {
      return this.#hidden
    }
  }
  const circle: Record<string, unknown> = { canary }
  circle["self"] = circle
  it.each<[string, () => unknown]>([
    ["in a property", () => ({ a: { b: [canary] } })],
    ["in a hidden one", () => Object.defineProperty({}, "a", { value: canary })],
    ["under a symbol", () => ({ [Symbol("a")]: `x${canary}` })],
    ["behind a getter of a class", () => ({ a: new Holder() })],
    ["on a function", () => Object.assign(() => 1, { key: canary })],
    ["in a function's text", () => () => "c4n4rys3cr3t"],
    ["in a map", () => ({ m: new Map([["a", new Set([canary])]]) })],
    ["in bytes", () => ({ a: Buffer.from(canary) })],
    ["in an error's cause", () => new Error("x", { cause: new Error(canary) })],
    ["in a circle", () => circle],
    ["by toJSON", () => ({ toJSON: () => canary })],
  ])("%s", (_, make) => expect(leaks("it", make(), secrets)).not.toEqual([]))

  it("as a key that can be exported, and not as one that cannot", async () => {
    const make = (extractable: boolean) =>
      crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, extractable, ["sign"])
    expect(leaks("it", { key: await make(true) }, secrets)).toHaveLength(1)
    expect(leaks("it", { key: await make(false) }, secrets)).toEqual([])
  })

  it("nowhere in a closure", () => {
    const held = canary
    expect(leaks("it", { length: () => held.length }, secrets)).toEqual([])
  })
})
