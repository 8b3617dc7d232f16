import { claim } from "@project-ingress/router/internal"
import { aGrant, anIngress, aRecord } from "../sample-documents.ts"
import { commit, follower, law, stored } from "../storage-law.ts"

/** What a reader gets after a revision. */
export const changes = {
  "changes.follow": law(
    "a reader that follows another process's commits has all that there is",
    async ({ storage, open }) => {
      const reader = follower(await open())
      claim(await reader.next()).toEqual([])
      await commit(storage, [aRecord("a"), aRecord("b")])
      claim(await reader.next()).toEqual([aRecord("a"), aRecord("b")])
      await commit(storage, [aRecord("b", "10.0.0.6"), aGrant("g")], [{ kind: "record", id: "a" }])
      await commit(storage, [await anIngress("i")])
      claim(await reader.next()).toEqual([aGrant("g"), await anIngress("i"), aRecord("b", "10.0.0.6")])
      await commit(storage, [aRecord("a", "10.0.0.7")], [{ kind: "record", id: "b" }])
      await commit(
        storage,
        [],
        [
          { kind: "record", id: "a" },
          { kind: "grant", id: "g" },
        ],
      )
      claim(await reader.next()).toEqual([await anIngress("i")])
    },
  ),
  "changes.only": law(
    "a reader that has read before gets what has changed since, and no more",
    async ({ storage, open }) => {
      await commit(storage, [aRecord("a"), aRecord("b"), aRecord("c")])
      const reader = await open()
      const { revision } = await reader.read(0)
      const next = await commit(storage, [aRecord("b", "10.0.0.6")], [{ kind: "record", id: "c" }])
      claim(await reader.read(revision)).toEqual({
        revision: next,
        whole: false,
        documents: [aRecord("b", "10.0.0.6")],
        removed: [{ kind: "record", id: "c" }],
        unreadable: [],
      })
      claim(await reader.read(next)).toEqual({
        revision: next,
        whole: false,
        documents: [],
        removed: [],
        unreadable: [],
      })
    },
  ),
  "changes.unknown": law("a revision that there has not been is followed by everything", async ({ storage }) => {
    const revision = await commit(storage, [aRecord("a")])
    const read = await storage.read(revision + 1_000)
    claim({ whole: read.whole, revision: read.revision, documents: read.documents }).toEqual({
      whole: true,
      revision,
      documents: [aRecord("a")],
    })
  }),
  "changes.removed": law("what is removed is gone, and may be put again", async ({ storage, open }) => {
    await commit(storage, [aRecord("a")])
    await commit(storage, [], [{ kind: "record", id: "a" }])
    claim(await stored(await open())).toEqual([])
    await commit(storage, [aRecord("a", "10.0.0.9")])
    claim(await stored(await open())).toEqual([aRecord("a", "10.0.0.9")])
  }),
  "changes.absent": law("to remove what is not there changes no document", async ({ storage }) => {
    await commit(storage, [aRecord("a")])
    const { revision } = await storage.read(0)
    claim(await commit(storage, [], [{ kind: "grant", id: "a" }])).toBeGreaterThan(revision)
    claim(await stored(storage)).toEqual([aRecord("a")])
  }),
  "changes.revision": law("each commit raises the revision, also one without documents", async ({ storage, open }) => {
    const { revision } = await storage.read(0)
    const next = await storage.commit({ ifRevision: revision, put: [], remove: [] })
    claim(next).toBeGreaterThan(revision)
    const other = await open()
    claim((await other.read(0)).revision).toBe(next)
    claim(await other.commit({ ifRevision: next, put: [], remove: [] })).toBeGreaterThan(next)
  }),
}
