/**
 * Fly's Sprites: the API, and an edge for each Sprite, on real sockets. The API's paths, fields and errors are those of
 * sprites.dev/api/sprites and docs.sprites.dev/api/rest, as its own client reads them (@fly/sprites 0.1.0). What the edge does is from
 * docs.sprites.dev/concepts/networking and /concepts/services, and from a report of what was seen on the wire in August and
 * September 2026 (github.com/2witstudios/PageSpace, docs/spikes): port 8080 always, 302 to a sign-in without a valid token, the
 * token not passed on, requests held while nothing listens. What it says of a Sprite that is gone is not known: 404 here.
 */
import { randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import type { Duplex } from "node:stream"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { FakeServer, Onward, Said } from "./http.ts"

export interface FakeSprite {
  readonly id: string
  readonly name: string
  /** Where its URL leads. */
  readonly origin: string
  status: "running" | "warm" | "cold"
  auth: "sprite" | "public"
  /** Who listens on its port 8080, on this host; `undefined`: nobody. */
  port: number | undefined
  /** What starts in it when it wakes. */
  boot: () => Promise<void>
  /** Set in place of what the edge would do. */
  edgeSays: Said | undefined
  /** What its port 8080 was sent, by lower-case names. */
  readonly arrived: IncomingMessage["headers"][]
}

export interface SpritesCloud {
  readonly apiBase: string
  readonly token: string
  /** `undefined`, when it is gone. */
  readonly find: (name: string) => FakeSprite | undefined
  readonly sprite: (name: string, options?: Partial<Pick<FakeSprite, "auth" | "port">>) => Promise<FakeSprite>
  readonly remove: (name: string) => void
  /** What the API answers in place of what it would. */
  always: Said | "hang" | undefined
  /** What the API was asked. */
  readonly calls: { readonly method: string; readonly path: string; readonly authorization: string | undefined }[]
  readonly close: () => Promise<void>
}

const SIGN_IN: Said = { status: 302, headers: { location: "https://sprites.dev/auth/sprite?return_url=c2lnbmVk" } }
const GONE: Said = { status: 404, body: "not found" }
const PAGE = 50

export const spritesCloud = async (token = "org/1/canary/7c1d09e4"): Promise<SpritesCloud> => {
  const known = new Map<string, FakeSprite>()
  const edges: FakeServer[] = []
  const held = new Set<Duplex>()

  /** What the edge does with a request: something else than sending it on, nothing for now, or that. */
  const decide = async (sprite: FakeSprite, { headers }: IncomingMessage): Promise<Said | Onward | "hold"> => {
    if (sprite.edgeSays !== undefined) return sprite.edgeSays
    if (known.get(sprite.name) !== sprite) return GONE
    if (headers["fly-force-instance-id"] !== undefined) return { status: 502, body: "no such instance" }
    const isPrivate = sprite.auth === "sprite"
    if (isPrivate && headers.authorization !== `Bearer ${token}`) return SIGN_IN
    if (sprite.status !== "running") await sprite.boot()
    sprite.status = "running"
    if (sprite.port === undefined) return "hold"
    const { authorization, ...rest } = headers
    const sent = {
      ...(isPrivate || authorization === undefined ? rest : headers),
      "sprite-client-ip": "127.0.0.1",
      "x-forwarded-for": [headers["x-forwarded-for"], "127.0.0.1"].filter(Boolean).join(", "),
      via: [headers.via, "1.1 fly.io"].filter(Boolean).join(", "),
    }
    sprite.arrived.push(sent)
    return { port: sprite.port, headers: sent, unreached: () => ({ status: 502 }) }
  }

  const makeSprite = async (name: string, { auth = "sprite", port }: Partial<FakeSprite> = {}): Promise<FakeSprite> => {
    const edge = await listen(
      async (request, response) => {
        const what = await decide(sprite, request)
        if (what === "hold") held.add(request.socket)
        else if ("status" in what) answer(response, what.status, what.body, what.headers)
        else sendOn(request, response, what)
      },
      (request, socket, head) => {
        void decide(sprite, request).then((what) => {
          if (what === "hold") held.add(socket)
          else if ("status" in what) refuse(socket, what)
          else upgradeOn(request, socket, head, what)
        })
      },
    )
    edges.push(edge)
    const sprite: FakeSprite = {
      id: `sprite-${randomUUID()}`,
      name,
      origin: edge.origin,
      status: port === undefined ? "cold" : "running",
      auth,
      port,
      boot: async () => {},
      edgeSays: undefined,
      arrived: [],
    }
    known.set(name, sprite)
    return sprite
  }

  const shown = ({ id, name, status, origin, auth }: FakeSprite) => ({
    id,
    name,
    status,
    organization: "my-org",
    url: origin,
    url_settings: { auth, private_access: "admins" },
    created_at: "2026-08-30T00:00:00Z",
    updated_at: "2026-08-30T00:00:00Z",
    last_running_at: null,
  })
  const notFound: Said = json(404, { error: "sprite not found" })

  const respond = async (request: IncomingMessage, body: Body): Promise<Said> => {
    if (request.headers.authorization !== `Bearer ${token}`) return json(401, { error: "unauthorized" })
    const { pathname, searchParams } = new URL(request.url!, "http://api.test")
    const [, version, collection, name, action, ...more] = pathname.split("/")
    if (version !== "v1" || collection !== "sprites" || more.length > 0) return json(404, { error: "not found" })
    if (name === undefined) {
      if (request.method === "POST") {
        if (body.name === undefined || known.has(body.name)) return json(400, { error: "name already exists" })
        return json(201, shown(await makeSprite(body.name, { auth: body.url_settings?.auth ?? "sprite" })))
      }
      const from = Number(searchParams.get("continuation_token") ?? 0)
      const prefix = searchParams.get("prefix") ?? ""
      const found = [...known.values()].filter((each) => each.name.startsWith(prefix))
      const to = from + Math.min(PAGE, Number(searchParams.get("max_results") ?? PAGE))
      return json(200, {
        sprites: found.slice(from, to).map(shown),
        has_more: to < found.length,
        next_continuation_token: to < found.length ? String(to) : null,
      })
    }
    const sprite = known.get(decodeURIComponent(name))
    if (sprite === undefined) return notFound
    switch (`${request.method} ${action ?? ""}`) {
      case "GET ":
        return json(200, shown(sprite))
      case "PUT ":
        sprite.auth = body.url_settings?.auth ?? sprite.auth
        return json(200, shown(sprite))
      case "DELETE ":
        known.delete(sprite.name)
        return { status: 204 }
      case "POST restart":
        await sprite.boot()
        sprite.status = "running"
        return json(200, { sprite_name: sprite.name, machine_id: "148e21", message: "restarted" })
      default:
        return json(405, { error: "method not allowed" })
    }
  }

  const api = await listen(async (request, response) => {
    const { method = "", url = "", headers } = request
    cloud.calls.push({ method, path: url, authorization: headers.authorization })
    let text = ""
    for await (const chunk of request) text += String(chunk)
    if (cloud.always === "hang") return
    const { status, body, headers: fields } = cloud.always ?? (await respond(request, text === "" ? {} : read(text)))
    answer(response, status, body, fields)
  })
  const cloud: SpritesCloud = {
    apiBase: `${api.origin}/v1`,
    token,
    find: (name) => known.get(name),
    sprite: makeSprite,
    remove: (name) => void known.delete(name),
    always: undefined,
    calls: [],
    async close() {
      for (const socket of held) socket.destroy()
      await Promise.all([api, ...edges].map((each) => each.close()))
    },
  }
  return cloud
}

interface Body {
  readonly name?: string
  readonly url_settings?: { readonly auth?: FakeSprite["auth"] }
}
const read = (text: string): Body => JSON.parse(text) as Body

const json = (status: number, body: object): Said => ({
  status,
  body: JSON.stringify(body),
  headers: { "content-type": "application/json; charset=utf-8" },
})
