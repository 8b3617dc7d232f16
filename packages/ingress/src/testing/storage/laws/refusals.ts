import { claim } from "@project-ingress/router/internal"
import { aGrant, aRecord } from "../sample-documents.ts"
import { commit, law, stored } from "../storage-law.ts"

const HOSTILE = [
  "",
  ".",
  "..",
  "../a",
  "../../etc/passwd",
  "/etc/passwd",
  "a/b",
  "a/../../b",
  "a\\b",
  "a\0",
  "a\n",
  "A",
  "ä",
  "a\u0301",
  ".a",
  "-a",
  "_a",
  "a b",
  "a%2f",
  "a'",
  "~a",
  "a".repeat(241),
]

/** What is not written. */
export const refusals = {
  "refusals.conflict": law(
    "a commit on another revision than the current one writes nothing",
    async ({ storage, open }) => {
      const first = await commit(storage, [aRecord("a")])
      const other = await open()
      const second = await other.commit({ ifRevision: first, put: [aRecord("b")], remove: [] })
      for (const ifRevision of [first, first - 1, second + 1]) {
        const late = { ifRevision, put: [aRecord("c")], remove: [{ kind: "record", id: "a" } as const] }
        await claim(storage.commit(late)).rejects.toMatchObject({ _tag: "RevisionConflict", revision: second })
      }
      claim(await stored(storage)).toEqual([aRecord("a"), aRecord("b")])
      claim((await storage.read(0)).revision).toBe(second)
    },
  ),
  "refusals.ids": law(
    "an id that could be more than a name is refused, and nothing of its commit is written",
    async ({ storage }) => {
      const { revision } = await storage.read(0)
      for (const id of HOSTILE) {
        const put = { ifRevision: revision, put: [aGrant("g"), aRecord(id)], remove: [] }
        await claim(storage.commit(put)).rejects.toMatchObject({ _tag: "DocumentRefused", kind: "record" })
        const remove = { ifRevision: revision, put: [aGrant("g")], remove: [{ kind: "record", id } as const] }
        await claim(storage.commit(remove)).rejects.toMatchObject({ _tag: "DocumentRefused", kind: "record" })
      }
      claim((await storage.read(0)).revision).toBe(revision)
      claim(await stored(storage)).toEqual([])
    },
  ),
  "refusals.names": law("an id that is a name is taken, whatever it means elsewhere", async ({ storage, open }) => {
    const ids = ["0", "a".repeat(240), "a..b", "a.json", "a_-.", "con", "constructor", "hasownproperty", "null"]
    const put = ids.toSorted().map((id) => aRecord(id))
    await commit(storage, put)
    claim(await stored(await open())).toEqual(put)
  }),
  "refusals.twice": law("two changes of one document in a commit are refused", async ({ storage }) => {
    const twice = commit(storage, [aRecord("a"), aRecord("a", "10.0.0.6")])
    await claim(twice).rejects.toMatchObject({ _tag: "DocumentRefused", id: "a" })
    const both = commit(storage, [aRecord("a")], [{ kind: "record", id: "a" }])
    await claim(both).rejects.toMatchObject({ _tag: "DocumentRefused", id: "a" })
    claim(await stored(storage)).toEqual([])
  }),
  "refusals.unfit": law("a document that would not be read again is refused", async ({ storage }) => {
    for (const unfit of [
      { createdAt: Number.NaN },
      { createdAt: 1.5 },
      { createdAt: 1e18 },
      { content: "" },
      { type: "TXT" },
      { extra: 1 },
    ]) {
      const put = [aGrant("g"), { ...aRecord("a"), ...unfit } as never]
      await claim(commit(storage, put)).rejects.toMatchObject({ _tag: "DocumentRefused", id: "a" })
    }
    claim(await stored(storage)).toEqual([])
  }),
}
