import { defineGrammar } from "@project-ingress/hostname"
import type { Lookup, RouteStore } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { describe, expect, it } from "vitest"
import { createIngresses, memoryStorage, RevisionConflict } from "../../src/ingress.ts"
import type { IngressStorage } from "../../src/ingress.ts"
import { documented, testApi } from "./test-api.ts"

const secret = "postgres://ingress:s3cret@db.internal/ingress"

/** The API of a platform whose parts do what a case says once it is there, and what it reported. */
const setup = async (broken: { readonly storage?: Partial<IngressStorage>; readonly get?: () => Lookup }) => {
  const reported: unknown[] = []
  const storage = memoryStorage()
  const inner = memoryStore()
  inner.attach("m:my-api", { machine: { id: "my-api", type: "upstream", externalId: "my-api", metadata: {} } })
  const parts: { storage: IngressStorage; store: RouteStore } = { storage: { ...storage }, store: { ...inner } }
  const made = await testApi(
    async () => {
      const ingresses = createIngresses({ grammar: defineGrammar({ domains: ["iterate.app"] }), ...parts })
      await ingresses.start()
      await ingresses.create(documented("first.example.com", "first"))
      return ingresses
    },
    {},
    { onError: (error) => void reported.push(error) },
  )
  Object.assign(parts.storage, broken.storage)
  if (broken.get !== undefined) Object.assign(parts.store, { get: broken.get })
  return { ...made, reported }
}

const unavailable = { code: "unavailable", message: "this cannot be done now: try again" }
const down = () => Promise.reject(new Error(secret))

describe("503 with Retry-After, and nothing of the cause", () => {
  it.each([
    ["a storage that cannot be read", { storage: { read: down } }, "StorageUnavailable", "1"],
    ["a storage that cannot be written", { storage: { commit: down } }, "StorageUnavailable", "1"],
    [
      "other processes that are always faster",
      { storage: { commit: () => Promise.reject(new RevisionConflict({ revision: 9 })) } },
      "RevisionConflict",
      "1",
    ],
    [
      "a store that cannot tell, and says when to come again",
      { get: (): Lookup => ({ status: "unavailable", retryAfterMs: 4_200, cause: new Error(secret) }) as never },
      "LookupUnavailable",
      "5",
    ],
  ] as const)("%s", async (_, broken, tag, seconds) => {
    const { ask, reported } = await setup(broken)
    const said = await ask("POST", "/ingresses", { body: documented() })
    expect([said.status, said.body, said.headers.get("retry-after")]).toEqual([503, unavailable, seconds])
    expect(reported).toEqual([expect.objectContaining({ _tag: tag })])
  })

  it("a removal that the storage does not take is 503, and the ingress is there", async () => {
    const { ask, ingresses } = await setup({ storage: { commit: down } })
    expect((await ask("DELETE", "/ingresses/first")).status).toBe(503)
    expect((await ingresses.read("first")).version).toBe(1)
  })
})
