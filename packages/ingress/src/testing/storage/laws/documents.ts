import { claim } from "@project-ingress/router/internal"
import { aGrant, anIngress, aRecord, everyRule } from "../sample-documents.ts"
import { commit, law, stored } from "../storage-law.ts"

/** What a document is when it is read again. */
export const documents = {
  "documents.none": law("an empty storage has a revision, and nothing else", async ({ storage }) => {
    const { revision, documents, removed, unreadable } = await storage.read(0)
    claim(Number.isSafeInteger(revision)).toBe(true)
    claim({ documents, removed, unreadable }).toEqual({ documents: [], removed: [], unreadable: [] })
  }),
  "documents.same": law(
    "each kind of document is read as it was written, by every process",
    async ({ storage, open }) => {
      const put = [
        aGrant("g1", { target: { machine: "mach_1" } }),
        aGrant("g2"),
        await anIngress("i1", { rules: everyRule }),
        await anIngress("i2", {}, { version: 7, owner: "org_1" }),
        aRecord("llm.internal.example.com"),
        aRecord("m.example.com", "llm.example.com", { type: "CNAME", owner: "org_1", ingress: "i1" }),
      ]
      await commit(storage, put)
      claim(await stored(storage)).toEqual(put)
      claim(await stored(await open())).toEqual(put)
    },
  ),
  "documents.replaced": law("a document that is put again is the new one, whole", async ({ storage }) => {
    await commit(storage, [await anIngress("i1", { rules: everyRule }, { owner: "org_1" })])
    const next = await anIngress("i1", { name: "other" }, { version: 2 })
    await commit(storage, [next])
    claim(await stored(storage)).toEqual([next])
  }),
  "documents.apart": law("one id in two kinds is two documents", async ({ storage }) => {
    await commit(storage, [aGrant("a"), await anIngress("a"), aRecord("a")])
    await commit(storage, [], [{ kind: "ingress", id: "a" }])
    claim(await stored(storage)).toEqual([aGrant("a"), aRecord("a")])
  }),
  "documents.copies": law("what a caller does to its document afterwards changes nothing", async ({ storage }) => {
    const record = { ...aRecord("a") }
    await commit(storage, [record])
    Object.assign(record, { content: "10.6.6.6" })
    claim(await stored(storage)).toEqual([aRecord("a")])
  }),
  "documents.many": law("1 000 documents are one commit", async ({ storage, open }) => {
    const put = Array.from({ length: 1_000 }, (_, at) => aRecord(`n${String(at).padStart(4, "0")}.example.com`))
    const before = await storage.read(0)
    claim(await commit(storage, put)).toBeGreaterThan(before.revision)
    claim(await stored(await open())).toEqual(put)
  }),
  "documents.large": law(
    "a document of almost 1 MiB is stored, and a larger one is refused",
    async ({ storage, open }) => {
      const large = await anIngress("a", { rules: longRules(100) })
      await commit(storage, [large])
      claim(await stored(await open())).toEqual([large])
      const larger = await anIngress("b", { rules: longRules(200) })
      await claim(commit(storage, [larger])).rejects.toMatchObject({
        _tag: "DocumentRefused",
        kind: "ingress",
        id: "b",
      })
      claim(await stored(storage)).toEqual([large])
    },
  ),
  "documents.hostile-text": law("texts of any kind stay texts", async ({ storage, open }) => {
    const texts = [
      "'; drop table project_ingress_ingress_documents; --",
      "$1 :token ?1 ${HOME} {{ 1 }} %s",
      '"}],"x":[{',
      "\\u0000 \\",
      "ключ 🔑 \u202e\u2028\ufeff",
      "__proto__",
      "x".repeat(256),
    ]
    const put = texts.map((text, at) => aRecord(`r${at}`, text, { owner: text }))
    await commit(storage, put)
    claim(await stored(await open())).toEqual(put)
  }),
}

/** Rules of 8 KB of JSON each: every `"` is two. */
const longRules = (count: number): readonly object[] =>
  Array.from({ length: count }, (_, at) => ({
    match: { hostname: `h${at}.example.com` },
    target: { machine: "m", port: 80 },
    responseHeaders: { set: { "x-large": '"'.repeat(4_000) } },
  }))
