/**
 * The example's Worker, with a D1, a KV and a cache that fail when a test says so: `POST http://faults.test/?d1&kv` names those that
 * fail from now on, and gives the names of those that were written to.
 */
import worker from "../src/index.ts"
import type { Env } from "../src/env.ts"

const failing = new Set<string>()
const written = new Set<string>()

/** An object whose calls reject while `name` fails. */
const faulty = <A extends object>(name: string, target: A): A =>
  new Proxy(target, {
    get: (_, member) => {
      const value: unknown = Reflect.get(target, member, target)
      if (typeof value !== "function") return value
      return (...args: unknown[]): unknown => {
        // What asks nobody yet.
        if (member === "withSession") return faulty(name, value.apply(target, args) as object)
        if (member === "prepare" || member === "getBookmark") return value.apply(target, args)
        if (failing.has(name)) return Promise.reject(new Error(`${name} is down`))
        const result: unknown = value.apply(target, args)
        if (member === "put") void Promise.resolve(result).then(() => written.add(name))
        return result
      }
    },
  })

let env: Env | undefined

export default {
  fetch: (request: Request, given: Env, context: { waitUntil(work: Promise<unknown>): void }) => {
    const { hostname, searchParams } = new URL(request.url)
    if (hostname === "faults.test") {
      failing.clear()
      for (const name of searchParams.keys()) failing.add(name)
      return Response.json([...written])
    }
    if (env === undefined) {
      env = { ...given, DB: faulty("d1", given.DB), ROUTES: faulty("kv", given.ROUTES) }
      const { default: cache } = caches as unknown as { readonly default: object }
      Object.defineProperty(caches, "default", { value: faulty("cache", cache) })
    }
    return worker.fetch(request, env, context)
  },
}
