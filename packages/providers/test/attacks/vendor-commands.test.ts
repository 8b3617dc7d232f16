/** Fields by which a client would command a platform's edge or class: to another machine, to another port, or past the proxy. */
import { defaultHeaderNames, generateTicketKeys, machineKey } from "@project-ingress/forward"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { cloudflareSandbox } from "../../src/adapters/cloudflare/sandbox.ts"
import { sprites } from "../../src/adapters/fly/sprites.ts"
import { machineFetcher } from "../../src/transport/machine-fetcher.ts"
import { machineImage } from "../fakes/fly-machine.ts"
import type { MachineImage } from "../fakes/fly-machine.ts"
import { spritesCloud } from "../fakes/sprites-cloud.ts"
import type { FakeSprite, SpritesCloud } from "../fakes/sprites-cloud.ts"

const spellings = (name: string): readonly string[] => [
  name,
  name.toUpperCase(),
  name.replace(/\b[a-z]/g, (c) => c.toUpperCase()),
]

describe("a client of a Cloudflare sandbox", () => {
  const commands = [
    ["cf-container-target-port", "22"],
    ["x-sandbox-name", "other"],
    ["x-sandbox-preview-proxy", "1"],
    ["x-sandbox-preview-port", "3000"],
    ["x-sandbox-preview-token", "t"],
    ["x-sandbox-preview-sandbox-id", "other"],
  ] as const
  const attacks = commands.flatMap(([name, value]) => spellings(name).map((spelling) => [spelling, value] as const))

  const send = async (path: string, headers: Readonly<Record<string, string>>) => {
    const sent: { readonly id: string; readonly port: number | string | null; readonly request: Request }[] = []
    const respond = async () => new Response("", { headers: { [defaultHeaderNames.stamp]: "1" } })
    const namespace = {
      getByName: (id: string) => ({
        fetch: (request: Request) => {
          sent.push({ id, port: request.headers.get("cf-container-target-port"), request })
          return respond()
        },
        containerFetch: (request: Request, port: number) => {
          sent.push({ id, port, request })
          return respond()
        },
      }),
    }
    const machine = { id: "mach_1", type: "cloudflare-sandbox", externalId: "s1", metadata: {} }
    const fetcher = machineFetcher(cloudflareSandbox(namespace), machine, { port: 3000 })
    await fetcher(new Request(`https://misha.test${path}`, { headers }))
    return sent
  }

  it.each(attacks)("cannot command the class by %s: %s", async (name, value) => {
    const [{ id, port, request }, ...more] = (await send("/", { [name]: value })) as [
      Awaited<ReturnType<typeof send>>[0],
    ]
    expect([id, port, more]).toEqual(["s1", 8080, []])
    expect(request.headers.has(name)).toBe(false)
  })

  it.each(["/proxy/22/x", "/api/execute", "/proxy/3000/api/execute", "//proxy/22"])(
    "cannot choose a port by the path %s",
    async (path) => {
      expect(await send(path, {})).toMatchObject([{ id: "s1", port: 8080 }])
    },
  )
})

describe("a client of a Sprite", () => {
  let image: MachineImage
  let cloud: SpritesCloud
  let mine: FakeSprite
  let other: FakeSprite
  let fetcher: ReturnType<typeof machineFetcher>
  beforeAll(async () => {
    const { signing } = await generateTicketKeys("test")
    const keys = [await machineKey(signing, "mach_1")]
    image = await machineImage({ machine: "mach_1", keys }, (request, response) => {
      response.end(JSON.stringify(request.headers))
    })
    cloud = await spritesCloud()
    mine = await cloud.sprite("m1", { port: image.port })
    other = await cloud.sprite("m2", { port: image.port })
    const provider = sprites({ token: cloud.token, urlToken: cloud.token, apiBase: cloud.apiBase })
    const machine = { id: "mach_1", type: "sprites", externalId: "m1", metadata: {} }
    fetcher = machineFetcher(provider, machine, { port: image.appPort, signingKey: signing })
  })
  afterAll(() => Promise.all([image.close(), cloud.close()]))

  it("cannot command Fly's proxy by any field that it obeys, in any spelling", async () => {
    // Of fly.io/docs/networking/dynamic-request-routing, and `flyio-debug`.
    const commands = [
      "fly-force-instance-id",
      "fly-prefer-instance-id",
      "fly-force-region",
      "fly-prefer-region",
      "fly-replay-cache-control",
      "flyio-debug",
    ]
    for (const name of commands) {
      for (const spelling of spellings(name)) {
        mine.arrived.length = 0
        const response = await fetcher(new Request("https://misha.test/", { headers: { [spelling]: "m2" } }))
        expect(response.status).toBe(200)
        expect(mine.arrived.map((headers) => headers[name])).toEqual([undefined])
        // The app gets it: only the edge does not.
        expect(await response.json()).toMatchObject({ [name]: "m2" })
      }
    }
    expect(other.arrived).toEqual([])
  })

  it("cannot replace the token that the edge is shown, nor see it", async () => {
    mine.arrived.length = 0
    const response = await fetcher(new Request("https://misha.test/", { headers: { authorization: "Bearer forged" } }))
    expect(await response.text()).not.toContain(cloud.token)
    expect(JSON.stringify(mine.arrived)).not.toContain(cloud.token)
    expect(response.status).toBe(200)
  })

  it("cannot choose another Sprite by Host, X-Forwarded-Host or Forwarded", async () => {
    const elsewhere = new URL(other.origin).host
    const headers = { "x-forwarded-host": elsewhere, forwarded: `host=${elsewhere}`, host: elsewhere }
    await (await fetcher(new Request("https://misha.test/", { headers }))).text()
    expect(other.arrived).toEqual([])
  })
})
