/** D1 in workerd. Statements go there in one request a batch: miniflare's own stand-in for the binding takes one for each call. */
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import type { D1Binding, D1Statement } from "../../src/stores/d1.ts"

const script = `export default {
  fetch: async (request, { ROUTES }) => {
    try {
      const statements = await request.json()
      const results = await ROUTES.batch(statements.map(({ text, values }) => ROUTES.prepare(text).bind(...values)))
      return Response.json(results.map(({ results }) => ({ results })))
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

export const startD1 = async (): Promise<{ readonly binding: D1Binding; readonly close: () => Promise<void> }> => {
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
  const binding: D1Binding = {
    prepare: (text) => given(text, []),
    batch: async (statements) => {
      const body = JSON.stringify((statements as Given[]).map(({ text, values }) => ({ text, values })))
      const response = await fetch(url, { method: "POST", body })
      if (!response.ok) throw new Error(await response.text())
      return (await response.json()) as never
    },
  }
  return { binding, close: () => worker.dispose() }
}
