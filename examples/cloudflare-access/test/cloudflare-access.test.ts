import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, headerValue } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import type { MachineProvider } from "@project-ingress/providers"
import { createRouter } from "@project-ingress/router"
import type { Visitor } from "@project-ingress/router"
import { visibility } from "@project-ingress/router/policies"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { exportJWK, generateKeyPair, SignJWT } from "jose"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from "vitest"
import { cloudflareAccess } from "../src/cloudflare-access.ts"

const teamDomain = "iterate.cloudflareaccess.com"
const audience = "f5e0c5b1"

/** A key as Access has it, and what signs by it. */
const accessKey = async (kid: string) => {
  const { privateKey, publicKey } = await generateKeyPair("RS256", { extractable: true })
  return { kid, privateKey, jwk: { ...(await exportJWK(publicKey)), kid, alg: "RS256", use: "sig" } }
}
const [old, current, next, stranger] = await Promise.all(["k1", "k2", "k3", "k2"].map(accessKey))
type Key = Awaited<ReturnType<typeof accessKey>>

/** The certificate endpoint: what it has, whether it works, and how often it was asked. */
const certs = { keys: [] as Key[], status: 200, asked: 0 }
const server = createServer((request, response) => {
  certs.asked++
  const { pathname } = new URL(request.url!, "http://certs")
  const body = JSON.stringify({ keys: certs.keys.map(({ jwk }) => jwk), public_certs: [] })
  response.writeHead(pathname === "/cdn-cgi/access/certs" ? certs.status : 404).end(body)
})

const sign = (key: Key, claims: Record<string, unknown> = {}, header: Record<string, unknown> = {}) =>
  new SignJWT({
    aud: [audience],
    email: "ann@example.com",
    type: "app",
    identity_nonce: "6ei69k",
    sub: "user-ann",
    ...claims,
  })
    .setProtectedHeader({ alg: "RS256", kid: key.kid, ...header })
    .setIssuer(`https://${teamDomain}`)
    .setIssuedAt()
    .setExpirationTime("1h")
    .sign(key.privateKey)

const machine = { id: "mach_1", type: "fake", externalId: "a", metadata: {} }
const provider: MachineProvider = {
  type: "fake",
  capabilities: { runtimes: ["node"], webSocket: false, wake: "none", ports: "any", interceptedHeaders: [] },
  resolve: async () => ({ origin: "http://a.test", epoch: "1", ttlMs: 0 }),
}
const { signing } = await generateTicketKeys("test")

/** A router behind Access, in front of one private project. */
const world = () => {
  const seen: (Visitor | undefined)[] = []
  const sent: HeaderList[] = []
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const fetchCerts: typeof fetch = (input, init) => {
    const { origin, pathname } = new URL(input as string)
    expect(origin).toBe(`https://${teamDomain}`)
    return fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}${pathname}`, init)
  }
  const router = createRouter({
    grammar,
    store: memoryStore({ "p:misha": { machine, visibility: "private" } }),
    providers: [provider],
    signingKey: signing,
    unprovenMachines: true,
    transport: async ({ headers }) => {
      sent.push(headers)
      return new Response("app", { headers: { "x-iterate-proxy-stamp": "unproven" } })
    },
    policies: [
      cloudflareAccess({ teamDomain, audience, fetch: fetchCerts }),
      ({ visitor }) => void seen.push(visitor),
      visibility({ grammar }),
    ],
  })
  const ask = async (assertion?: string, more: Record<string, string> = {}) => {
    const headers = { ...more, ...(assertion === undefined ? {} : { "cf-access-jwt-assertion": assertion }) }
    return (await router.fetch(new Request("https://misha.iterate.app/", { headers })))!
  }
  const code = async (assertion?: string) => {
    const response = await ask(assertion)
    return `${response.status} ${response.headers.get("x-iterate-proxy-error") ?? ""}`.trim()
  }
  return { ask, code, seen, sent }
}

beforeAll(async () => {
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
})
afterAll(() => void server.close())
beforeEach(() => {
  vi.useFakeTimers({ toFake: ["Date"], now: 1_800_000_000_000 })
  Object.assign(certs, { keys: [old!, current!], status: 200, asked: 0 })
})
afterEach(() => void vi.useRealTimers())
const later = (ms: number) => void vi.setSystemTime(Date.now() + ms)

describe("a visitor of Cloudflare Access", () => {
  it("is who the JWT says, and the app gets none of it", async () => {
    const { ask, seen, sent } = world()
    const response = await ask(await sign(current!), { cookie: "CF_Authorization=secret; a=1" })
    expect([response.status, await response.text()]).toEqual([200, "app"])
    const expiresAt = 1_800_000_000_000 + 3_600_000
    expect(seen).toEqual([{ subject: "user-ann", by: "cloudflare-access", id: "6ei69k", ambient: true, expiresAt }])
    expect(headerValue(sent[0]!, "cf-access-jwt-assertion")).toBeUndefined()
    expect(headerValue(sent[0]!, "cookie")).toBe("a=1")
  })

  it("may be a service token", async () => {
    const { code, seen } = world()
    const claims = { sub: "", common_name: "e367.access", identity_nonce: undefined }
    expect(await code(await sign(current!, claims))).toBe("200")
    expect(seen[0]).toMatchObject({ subject: "e367.access", id: "e367_access", ambient: false })
  })

  it("is nobody without a JWT, and private ports stay closed", async () => {
    const { code, seen } = world()
    expect(await code()).toBe("401 LOGIN_REQUIRED")
    expect([seen, certs.asked]).toEqual([[undefined], 0])
  })
})

describe("a JWT is refused", () => {
  const encoded = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url")
  it.each<[string, () => Promise<string> | string]>([
    ["of another application", () => sign(current!, { aud: ["other"] })],
    [
      "of another team",
      async () =>
        new SignJWT({ aud: [audience], sub: "x" })
          .setProtectedHeader({ alg: "RS256", kid: "k2" })
          .setIssuer("https://evil.cloudflareaccess.com")
          .setIssuedAt()
          .setExpirationTime("1h")
          .sign(current!.privateKey),
    ],
    ["by another key of the same kid", () => sign(stranger!)],
    [
      "that never ends",
      () =>
        new SignJWT({ aud: [audience], sub: "x" })
          .setProtectedHeader({ alg: "RS256", kid: "k2" })
          .setIssuer(`https://${teamDomain}`)
          .setIssuedAt()
          .sign(current!.privateKey),
    ],
    [
      "without a signature",
      () =>
        `${encoded({ alg: "none" })}.${encoded({ aud: [audience], iss: `https://${teamDomain}`, exp: 9e9, sub: "x" })}.`,
    ],
    [
      "that is HS256 by the public key",
      () =>
        new SignJWT({ aud: [audience], sub: "x" })
          .setProtectedHeader({ alg: "HS256", kid: "k2" })
          .setIssuer(`https://${teamDomain}`)
          .setIssuedAt()
          .setExpirationTime("1h")
          .sign(new TextEncoder().encode(JSON.stringify(current!.jwk))),
    ],
    ["that is no JWT", () => "x"],
    ["that is there twice", async () => `${await sign(current!)}, ${await sign(current!)}`],
  ])("%s", async (_, assertion) => {
    const { code, seen } = world()
    expect(await code(await assertion())).toBe("401 ACCESS_JWT_INVALID")
    expect(seen).toEqual([])
  })

  it("that has ended", async () => {
    const { code } = world()
    const assertion = await sign(current!)
    expect(await code(assertion)).toBe("200")
    later(3_601_000)
    expect(await code(assertion)).toBe("401 ACCESS_JWT_INVALID")
  })
})

describe("keys", () => {
  it("are fetched once, and again after an hour", async () => {
    const { code } = world()
    for (let i = 0; i < 5; i++) expect(await code(await sign(current!))).toBe("200")
    later(3_500_000)
    expect(await code(await sign(old!))).toBe("200")
    expect(certs.asked).toBe(1)
    later(200_000)
    certs.keys = [current!]
    expect(await code(await sign(old!))).toBe("401 ACCESS_JWT_INVALID")
    expect(await code(await sign(current!))).toBe("200")
    expect(certs.asked).toBe(2)
  })

  it("that rotate are fetched for the first JWT by a new one, at most once a minute", async () => {
    const { code } = world()
    expect(await code(await sign(current!))).toBe("200")
    certs.keys = [current!, next!]
    // Within a minute of the last fetch.
    expect(await code(await sign(next!))).toBe("401 ACCESS_JWT_INVALID")
    expect(certs.asked).toBe(1)
    later(61_000)
    expect(await code(await sign(next!))).toBe("200")
    expect(certs.asked).toBe(2)
    for (let i = 0; i < 20; i++)
      expect(await code(await sign(current!, {}, { kid: `made-up-${i}` }))).toBe("401 ACCESS_JWT_INVALID")
    expect(certs.asked).toBe(2)
  })

  it("that cannot be fetched let nobody in, and are asked for once in ten seconds", async () => {
    const { code } = world()
    certs.status = 500
    for (let i = 0; i < 5; i++) expect(await code(await sign(current!))).toBe("503 ACCESS_KEYS_UNAVAILABLE")
    expect(await code()).toBe("401 LOGIN_REQUIRED")
    expect(certs.asked).toBe(1)
    certs.status = 200
    later(11_000)
    expect(await code(await sign(current!))).toBe("200")
    // What is known stays good while the endpoint fails, for as long as it is kept.
    certs.status = 503
    later(1_000_000)
    expect(await code(await sign(current!))).toBe("200")
    later(3_000_000)
    expect(await code(await sign(current!))).toBe("503 ACCESS_KEYS_UNAVAILABLE")
  })
})
