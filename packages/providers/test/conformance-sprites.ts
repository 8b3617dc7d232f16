/** Two machines of this process as Sprites of the fake of Fly's Sprites, one with a public URL and one with a private one. */
import type { Machine } from "../src/contract/machine-provider.ts"
import type { Undo } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { spritesCloud } from "./fakes/sprites-cloud.ts"
import type { SpritesCloud } from "./fakes/sprites-cloud.ts"

export const spritesFixture = async (): Promise<Proved> => {
  const { a, b, signing, close } = await twoMachines()
  const cloud = await spritesCloud()
  let sprite = await cloud.sprite("m1", { port: a.port, auth: "public" })
  const second = await cloud.sprite("m2", { port: b.port })
  const boot = async () => {
    await a.start()
    sprite.port = a.port
  }
  sprite.boot = boot
  const { token, apiBase } = cloud
  const made: Made = { adapter: "sprites", token, urlToken: token, apiBase }
  const record = (id: string, externalId: string): Machine => ({ id, type: "sprites", externalId, metadata: {} })
  const mine = () => record(a.id, sprite.name)
  const sleep = (status: "warm" | "cold") => async () => {
    sprite.status = status
    await a.stop()
  }
  const always = (said: SpritesCloud["always"]) => async (): Promise<Undo> => {
    cloud.always = said
    return () => void (cloud.always = undefined)
  }
  return {
    made,
    provider: provider(made),
    machine: mine(),
    other: record(b.id, second.name),
    port: a.appPort,
    signingKey: signing,
    missing: record("mach_c", "nobody"),
    wrong: { externalId: record(a.id, "../secrets") },
    secrets: [token],
    stop: sleep("cold"),
    suspend: sleep("warm"),
    restart: async () => {
      await boot()
      sprite.status = "running"
      return mine()
    },
    remove: async () => cloud.remove(sprite.name),
    // Sprites never share an address; the worst case is an edge that mistakes one for the other.
    swap: async () => {
      const moved = await cloud.sprite("m3", { port: a.port })
      moved.boot = boot
      sprite.port = b.port
      sprite = moved
      return mine()
    },
    // From a public URL to a private one, or the other way.
    rotate: async () => void (sprite.auth = sprite.auth === "public" ? "sprite" : "public"),
    hang: always("hang"),
    rateLimit: always({ status: 429, headers: { "retry-after": "10" } }),
    unauthorized: async () => {
      sprite.edgeSays = { status: 302, headers: { location: "https://sprites.dev/auth/sprite?return_url=c2lnbmVk" } }
      return () => void (sprite.edgeSays = undefined)
    },
    unavailable: always({ status: 503 }),
    close: () => Promise.all([close(), cloud.close()]),
  }
}
