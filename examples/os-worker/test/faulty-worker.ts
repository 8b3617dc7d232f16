/** The example's Worker, with a D1 that fails when a test says so: `POST http://faults.test/?down`. */
import worker from "../src/index.ts"
import type { Env } from "../src/env.ts"

let isDown = false

const faulty = (database: Env["DB"]): Env["DB"] => ({
  prepare: (query) => database.prepare(query),
  batch: (statements) => (isDown ? Promise.reject(new Error("D1 is down")) : database.batch(statements)),
})

let env: Env | undefined

export default {
  fetch: (request: Request, given: Env, context: { waitUntil(work: Promise<unknown>): void }) => {
    const { hostname, searchParams } = new URL(request.url)
    if (hostname === "faults.test") {
      isDown = searchParams.has("down")
      return new Response(null, { status: 204 })
    }
    env ??= { ...given, DB: faulty(given.DB) }
    return worker.fetch(request, env, context)
  },
}
