/** D1 in workerd. Statements go there in one request a batch: miniflare's own stand-in for the binding takes one for each call. */
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import type { D1Binding, D1Statement } from "../../src/stores/d1.ts"

const script = `export default {
  fetch: async (request, { ROUTES }) => {
    try {
      const { constraint, statements } = await request.json()
      const session = constraint === undefined ? ROUTES : ROUTES.withSession(constraint)
      const results = await session.batch(statements.map(({ text, values }) => session.prepare(text).bind(...values)))
      const bookmark = session.getBookmark?.()
      return Response.json({ bookmark, results: results.map(({ results }) => ({ results })) })
    } catch (cause) {
      return new Response(String(cause), { status: 500 })
    }
  },
}`

interface Given extends D1Statement {
  readonly text: string
  readonly values: readonly string[]
}

const given = (text: string, values: readonly string[]): Given => ({
  text,
  values,
  bind: (...bound) => given(text, bound),
})

export const startD1 = async (): Promise<{
  readonly binding: Required<D1Binding>
  readonly close: () => Promise<void>
}> => {
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      host: "127.0.0.1",
      modules: true,
      script,
      compatibilityDate: "2026-11-01",
      d1Databases: ["ROUTES"],
      unsafeDirectSockets: [{ host: "127.0.0.1" }],
    }),
  )
  await worker.ready
  const url = await worker.unsafeGetDirectURL()
  const run = async (constraint: string | undefined, statements: readonly Given[]) => {
    const body = { constraint, statements: statements.map(({ text, values }) => ({ text, values })) }
    const response = await fetch(url, { method: "POST", body: JSON.stringify(body) })
    if (!response.ok) throw new Error(await response.text())
    return (await response.json()) as { readonly bookmark: string | null; readonly results: never }
  }
  const prepare = (text: string) => given(text, [])
  const binding: Required<D1Binding> = {
    prepare,
    batch: async (statements) => (await run(undefined, statements as Given[])).results,
    withSession: (constraint) => {
      let bookmark: string | null = null
      return {
        prepare,
        getBookmark: () => bookmark,
        batch: async (statements) => {
          const done = await run(constraint, statements as Given[])
          ;({ bookmark } = done)
          return done.results
        },
      }
    },
  }
  return { binding, close: () => worker.dispose() }
}
