import { createServer } from "node:net"
import type { Socket } from "node:net"
import { machineKey } from "@project-ingress/forward"
import { openTunnel } from "@project-ingress/forward/sockets"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { listen, machine, signing } from "../../../machine-proxy/test/harness.ts"
import { accessTokens, createToken, defineAccess } from "../../src/access.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { visibility } from "../../src/policies.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

const closing: (() => unknown)[] = []
let router: number
let port: number
let proxyPort: number
const revoked = new Set<string>()
const access = defineAccess({ keys: [{ kid: "a", kty: "oct", alg: "HS256", k: "A".repeat(43) }] })
const project = { key: "p:misha", externalId: "prj_1", owner: "org_1", generation: 1 } as const

beforeAll(async () => {
  const sockets: Socket[] = []
  const app = createServer((socket) => {
    sockets.push(socket)
    socket.on("error", () => undefined)
    socket.write("+OK\r\n")
  })
  port = await listen(app)
  const proxy = createMachineProxy({ machine, keys: [await machineKey(signing, machine)] })
  const machineServer = createServer(proxy.connection)
  proxyPort = await listen(machineServer)
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const host = serveNode(
    createRouter({
      grammar,
      store: memoryStore({
        "p:misha": {
          machine: { id: machine, type: "local", externalId: "dev", metadata: { port: proxyPort } },
          owner: "org_1",
          externalId: "prj_1",
          generation: 1,
          visibility: "private",
          ports: { [port]: { protocol: "tcp" } },
        },
      }),
      providers: [local()],
      signingKey: signing,
      policies: [accessTokens(access, { isRevoked: (id) => revoked.has(id) }), visibility({ grammar })],
    }),
    { trustedProxies: [] },
  )
  const listening = await host.listen({ hostname: "127.0.0.1" })
  router = listening.port
  closing.push(
    () => {
      app.close()
      machineServer.close()
      for (const socket of sockets) socket.destroy()
    },
    () => proxy.drain({ deadlineMs: 0 }),
    () => listening.close({ deadlineMs: 0 }),
  )
})
afterAll(async () => {
  for (const close of closing.toReversed()) await close()
})

const tunnel = (token?: string) =>
  openTunnel({
    url: `http://${port}__misha.iterate.app:${router}`,
    address: "127.0.0.1",
    ...(token === undefined ? {} : { headers: { authorization: `Bearer ${token}` } }),
  })
const codeOf = (opening: Promise<unknown>): Promise<unknown> =>
  opening.then(
    () => "opened",
    (error: { readonly code?: unknown }) => error.code,
  )

describe("a private port that speaks tcp", () => {
  it("asks for a token, opens with one for it, and not with another one", async () => {
    expect(await codeOf(tunnel())).toBe("LOGIN_REQUIRED")
    const other = await createToken(access, { subject: "ci", project, port: 1, expiresInMs: 60_000 })
    expect(await codeOf(tunnel(other.token))).toBe("TOKEN_SCOPE")
    const right = await createToken(access, { subject: "ci", project, port, expiresInMs: 60_000 })
    const stream = await tunnel(right.token)
    const [first] = (await new Promise((resolve) => stream.once("data", (bytes) => resolve([bytes])))) as [Buffer]
    expect(String(first)).toBe("+OK\r\n")
    stream.destroy()
  })

  it("ends a tunnel with 1008 soon after its token was withdrawn", { timeout: 60_000 }, async () => {
    const { token, id } = await createToken(access, { subject: "ci", project, port, expiresInMs: 60_000 })
    const stream = await tunnel(token)
    const ended = new Promise((resolve) => stream.once("error", resolve))
    stream.resume()
    revoked.add(id)
    expect(await ended).toMatchObject({ name: "TunnelBroken", code: 1008 })
    expect(await codeOf(tunnel(token))).toBe("TOKEN_INVALID")
  })
})
