import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { WebSocketServer } from "ws"
import { sprites } from "../src/adapters/fly/sprites.ts"
import type { SpritesOptions } from "../src/adapters/fly/sprites.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { FetcherOptions } from "../src/transport/machine-fetcher.ts"
import { machineImage } from "./fakes/fly-machine.ts"
import type { MachineImage } from "./fakes/fly-machine.ts"
import { spritesCloud } from "./fakes/sprites-cloud.ts"
import type { FakeSprite, SpritesCloud } from "./fakes/sprites-cloud.ts"

const { signal } = new AbortController()
const machine: Machine = { id: "mach_1", type: "sprites", externalId: "m1", metadata: {} }
const token = "org/1/canary/7c1d09e4"

/** The adapter on an API that always gives this. */
const given = (
  status: number,
  body: unknown,
  { headers = {}, ...more }: Partial<SpritesOptions> & { headers?: object } = {},
) =>
  sprites({
    token,
    ...more,
    fetch: async () => Response.json(body, { status, headers: { ...headers } }),
  })
const sprite = (more: object = {}) => ({
  id: "sprite-1",
  name: "m1",
  status: "running",
  url: "https://m1-org.sprites.app",
  url_settings: { auth: "sprite" },
  ...more,
})
const resolved = (body: unknown, more: Partial<SpritesOptions> = { urlToken: token }) =>
  given(200, body, more).resolve(machine, { port: 3000, signal })

describe("the endpoint of a Sprite", () => {
  it("is its URL, with the token that a private one wants", async () => {
    expect(await resolved(sprite())).toEqual({
      origin: "https://m1-org.sprites.app",
      headers: { authorization: `Bearer ${token}` },
      epoch: "sprite-1",
      ttlMs: 60_000,
    })
  })

  it("has no token when the URL is public, because its edge passes one on", async () => {
    const { headers } = await resolved(sprite({ url_settings: { auth: "public" } }))
    expect(headers).toBeUndefined()
  })

  it.each([
    [{ auth: "sprite" }, {}, "its URL is private: give sprites a urlToken, or make the URL public"],
    [{ auth: "members" }, { urlToken: token }, "its URL's auth is neither public nor sprite"],
    [{}, { urlToken: token }, "invalid response"],
    [null, { urlToken: token }, "invalid response"],
  ])("is none with url_settings %j and the options %j", async (settings, options, reason) => {
    const failed = resolved(sprite({ url_settings: settings }), options)
    await expect(failed).rejects.toMatchObject({ _tag: "ProviderUnavailable", reason })
  })

  it.each([
    "http://m1-org.sprites.app",
    "https://m1-org.sprites.app/path",
    "https://user@m1-org.sprites.app",
    "https://m1-org.sprites.app?x",
    "https://m1-org.sprites.app\\@evil.test",
    "//m1-org.sprites.app",
    "",
    null,
    7,
  ])("is not %j, to which a token would be sent", async (url) => {
    await expect(resolved(sprite({ url }))).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "invalid response",
    })
  })

  it.each(["", "..", "../m2", "m1/restart", "m1?x", "m 1", "-m", "m.1", "m".repeat(64)])(
    "is asked for by a Sprite's name, and not by %j",
    async (externalId) => {
      const never = async () => expect.unreachable("a request was sent")
      const wrong = sprites({ token, fetch: never }).resolve({ ...machine, externalId }, { port: 80, signal })
      await expect(wrong).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field: "externalId" })
    },
  )
})

describe("the Sprites API", () => {
  it.each([
    ["running", "running"],
    ["warm", "suspended"],
    ["cold", "stopped"],
    ["constructor", "unknown"],
  ])("says %s of a Sprite that is %s", async (status, state) => {
    expect(await given(200, sprite({ status })).status!(machine, { signal })).toEqual({ state, detail: status })
  })

  it("knows no Sprite that is gone", async () => {
    expect(await given(404, { error: "sprite not found" }).status!(machine, { signal })).toEqual({ state: "gone" })
  })

  it.each([
    [401, {}, {}, { _tag: "ProviderAuth" }],
    [403, {}, {}, { _tag: "ProviderAuth" }],
    [404, {}, {}, { _tag: "MachineNotFound" }],
    [429, {}, { "retry-after": "3" }, { _tag: "ProviderRateLimited", retryAfterMs: 3_000 }],
    [429, { retry_after_seconds: 7 }, { "retry-after": "3" }, { retryAfterMs: 7_000 }],
    [429, { retry_after_seconds: "x" }, {}, { _tag: "ProviderRateLimited", retryAfterMs: undefined }],
    [429, null, {}, { _tag: "ProviderRateLimited", retryAfterMs: undefined }],
    [500, {}, {}, { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
  ])("that responds %i %j with %j means %j", async (status, body, headers, error) => {
    const failed = given(status, body, { headers }).resolve(machine, { port: 80, signal })
    await expect(failed).rejects.toMatchObject(error)
  })

  it("may repeat both tokens, and no error does", async () => {
    const urlToken = "org/2/canary/aa01"
    const body = { error: `bad token ${token}`, message: `not ${urlToken}` }
    const error: unknown = await given(500, body, { urlToken }).status!(machine, { signal }).catch(
      (error: unknown) => error,
    )
    expect(error).toMatchObject({ cause: { message: "Fly responded with 500: bad token …: not …" } })
    expect(String((error as Error).stack)).not.toContain("canary")
  })
})

describe("the edge's own response", () => {
  const signIn = "https://sprites.dev/auth/sprite?return_url=x"
  it.each<[number, Readonly<Record<string, string>>, unknown]>([
    [302, { location: signIn }, "refresh-credentials"],
    [307, { location: signIn.replace("sprites.dev", "eu.sprites.dev") }, "refresh-credentials"],
    [401, {}, "refresh-credentials"],
    [
      302,
      { location: "https://evilsprites.dev/auth/sprite" },
      { reason: "HTTP 302 without the stamp of the machine's proxy" },
    ],
    [
      302,
      { location: `https://elsewhere.test/?${signIn}` },
      { reason: "HTTP 302 without the stamp of the machine's proxy" },
    ],
    [302, {}, { reason: "HTTP 302 without the stamp of the machine's proxy" }],
    [200, { location: signIn }, { reason: "HTTP 200 without the stamp of the machine's proxy" }],
    [403, {}, { reason: "HTTP 403 without the stamp of the machine's proxy" }],
    [404, {}, "check-status"],
    [429, { "retry-after": "2" }, { _tag: "ProviderRateLimited", retryAfterMs: 2_000 }],
    [500, {}, { _tag: "ProviderUnavailable", reason: "HTTP 500 without the stamp of the machine's proxy" }],
    [502, {}, "check-status"],
    [504, {}, "check-status"],
    [523, {}, "check-status"],
  ])("%i with %j means %j", (status, headers, meaning) => {
    const verdict = sprites({ token }).classify!({ status, header: (name) => headers[name] }, machine)
    expect({ verdict }).toMatchObject({ verdict: meaning })
  })
})

describe("through a Sprite's URL", () => {
  const sockets = new WebSocketServer({ noServer: true })
  let signing: SigningKey
  let image: MachineImage
  let cloud: SpritesCloud
  let first: FakeSprite
  beforeAll(async () => {
    ;({ signing } = await generateTicketKeys("test"))
  })
  beforeEach(async () => {
    const keys = [await machineKey(signing, machine.id)]
    image = await machineImage(
      { machine: machine.id, keys },
      (request, response) => void response.end(JSON.stringify({ url: request.url, ...request.headers })),
      (request, socket, head) => {
        sockets.handleUpgrade(request, socket, head, (opened) => opened.send(JSON.stringify(request.headers)))
      },
    )
    cloud = await spritesCloud(token)
    first = await cloud.sprite("m1", { port: image.port })
  })
  afterEach(() => Promise.all([cloud.close(), image.close()]))

  const fetcher = ({ urlToken = token, ...more }: FetcherOptions & Partial<SpritesOptions> = {}) => {
    const provider = sprites({ token, urlToken, apiBase: cloud.apiBase })
    return machineFetcher(provider, machine, { port: image.appPort, signingKey: signing, ...more })
  }
  const ask = (init: RequestInit = {}, options?: Parameters<typeof fetcher>[0]) =>
    fetcher(options)(new Request("https://misha.test/x", init))

  it("an app gets its own Authorization, and no token of the edge", async () => {
    const response = await ask({ headers: { authorization: "Bearer the-apps-own" } })
    expect(await response.json()).toMatchObject({ url: "/x", authorization: "Bearer the-apps-own" })
    expect(JSON.stringify(first.arrived)).not.toContain("canary")
  })

  it.each(["sprite", "public"] as const)("nothing in a Sprite whose URL is %s sees a token", async (auth) => {
    first.auth = auth
    expect(JSON.stringify(await (await ask()).json())).not.toContain("canary")
    expect(first.arrived.length).toBe(1)
    expect(JSON.stringify(first.arrived)).not.toContain("canary")
  })

  it("a WebSocket passes a private URL, with its app's own Authorization", async () => {
    const headers = { authorization: "Bearer the-apps-own" }
    const socket = await fetcher().connect(new Request("https://misha.test/x", { headers }))
    const { data } = await new Promise<MessageEvent>((resolve) => socket.addEventListener("message", resolve))
    expect(JSON.parse(data as string)).toMatchObject(headers)
    expect(data).not.toContain("canary")
    socket.close()
  })

  it.each(["warm", "cold"] as const)("a request wakes a %s Sprite", async (status) => {
    let boots = 0
    first.status = status
    first.boot = async () => void boots++
    expect((await ask({ method: "POST", body: "x" })).status).toBe(200)
    expect([boots, first.status]).toEqual([1, "running"])
  })

  it("a token that the edge does not accept is ProviderAuth", async () => {
    await expect(ask({}, { urlToken: "org/1/other" })).rejects.toMatchObject({ _tag: "ProviderAuth" })
  })

  it("a Sprite that is gone is MachineNotFound", async () => {
    cloud.remove("m1")
    await expect(ask()).rejects.toMatchObject({ _tag: "MachineNotFound" })
  })

  it("a Sprite in which nothing listens on 8080 holds a request until its time is over", async () => {
    first.port = undefined
    await expect(ask({}, { headersTimeoutMs: 300 })).rejects.toMatchObject({ _tag: "UpstreamTimeout" })
  })
})
