import { claim } from "@project-ingress/router/internal"
import { RevisionConflict } from "../../../storage/ingress-storage.ts"
import type { IngressStorage } from "../../../storage/ingress-storage.ts"
import { aRecord } from "../sample-documents.ts"
import { commit, follower, law, stored } from "../storage-law.ts"

/** Several processes at once. */
export const races = {
  "race.one": law("of many commits on one revision, one is written", async ({ storage, open, writers }) => {
    const { revision } = await storage.read(0)
    const all = await opened(open, writers)
    const outcomes = await Promise.all(
      all.map((writer, at) =>
        writer
          .commit({ ifRevision: revision, put: [aRecord("a", `10.0.0.${at}`), aRecord(`b${at}`)], remove: [] })
          .then(() => "done", tagOf),
      ),
    )
    claim(outcomes.toSorted()).toEqual([...Array.from({ length: writers - 1 }, () => "RevisionConflict"), "done"])
    const at = outcomes.indexOf("done")
    claim(await stored(storage)).toEqual([aRecord("a", `10.0.0.${at}`), aRecord(`b${at}`)])
  }),
  "race.all": law("none of many commits is lost where each is decided again", async ({ storage, open, writers }) => {
    await commit(storage, [aRecord("count", "0")])
    const all = await opened(open, writers)
    await Promise.all(
      all.map(async (writer, at) => {
        const reader = follower(writer)
        await insist(20 * writers, async () => {
          const count = (await reader.next()).find(({ id }) => id === "count") as { readonly content: string }
          const put = [aRecord("count", `${Number(count.content) + 1}`), aRecord(`writer-${at}`)]
          await writer.commit({ ifRevision: reader.revision(), put, remove: [] })
        })
      }),
    )
    const documents = await stored(storage)
    claim(documents).toHaveLength(writers + 1)
    claim(documents[0]).toEqual(aRecord("count", `${writers}`))
  }),
  "race.whole": law("no reader sees a part of a commit", async ({ storage, open }) => {
    await commit(storage, pair("0"))
    const { signal, abort } = stopper()
    const follow = async (other: IngressStorage) => {
      const reader = follower(other)
      let last = 0
      while (!signal.aborted) {
        const [a, z] = (await reader.next()) as unknown as readonly { readonly content: string }[]
        claim(a?.content).toBe(z?.content)
        claim(Number(a?.content)).toBeGreaterThan(last - 1)
        last = Number(a?.content)
        // Others have their turn, also where a read has no pause of its own.
        await new Promise((resolve) => setTimeout(resolve, 0))
      }
    }
    const write = async () => {
      try {
        for (let at = 1; at <= 10; at++) await commit(storage, pair(`${at}`))
      } finally {
        abort()
      }
    }
    await Promise.all([write(), ...(await opened(open, 3)).map(follow)])
  }),
  "race.note": law("a note outlives whoever wrote it, until it is erased", async ({ storage, open }) => {
    if (storage.mark === undefined) return
    const marked = async () => (await open()).marked?.()
    claim(await marked()).toBeUndefined()
    for (const note of ["caddy\n'\"$1", "", "x".repeat(65_536)]) {
      await storage.mark(note)
      claim(await marked()).toBe(note)
    }
    await commit(storage, [aRecord("a")])
    claim(await marked()).toBe("x".repeat(65_536))
    await storage.mark(undefined)
    await storage.mark(undefined)
    claim(await marked()).toBeUndefined()
  }),
}

const opened = (open: () => Promise<IngressStorage>, count: number): Promise<readonly IngressStorage[]> =>
  Promise.all(Array.from({ length: count }, open))

const pair = (content: string) => [aRecord("a", content), aRecord("z", content)]

const stopper = () => {
  const controller = new AbortController()
  return { signal: controller.signal, abort: () => controller.abort() }
}

const tagOf = (cause: Error & { readonly _tag?: string }): string => cause._tag ?? cause.message

const insist = async (most: number, attempt: () => Promise<void>): Promise<void> => {
  for (let at = 1; ; at++) {
    try {
      return await attempt()
    } catch (cause) {
      if (!(cause instanceof RevisionConflict) || at === most) throw cause
    }
  }
}
