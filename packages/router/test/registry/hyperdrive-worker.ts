// Bundled and run in workerd by hyperdrive.test.ts: a Worker whose routes are in Postgres, reached through Hyperdrive.
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { local } from "@project-ingress/providers/local"
import pg from "pg"
import { createRouter } from "../../src/router.ts"
import { postgresRegistry } from "../../src/stores/postgres.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })

interface Env {
  /** Hyperdrive, without caching. */
  readonly DATABASE: { readonly connectionString: string }
  /** A secret: the database itself. */
  readonly DATABASE_URL: string
}

const registryOf = ({ DATABASE, DATABASE_URL }: Env) => {
  // A connection belongs to the request that opened it. One to Hyperdrive costs little: Hyperdrive keeps those to Postgres open.
  const connected = async <A>(connectionString: string, run: (client: pg.Client) => Promise<A>): Promise<A> => {
    const client = new pg.Client({ connectionString })
    await client.connect()
    try {
      return await run(client)
    } finally {
      await client.end()
    }
  }
  return postgresRegistry({
    grammar,
    query: (text, values) => connected(DATABASE.connectionString, (client) => client.query(text, values)),
    // A connection that ends without a commit is rolled back.
    transaction: (run) =>
      connected(DATABASE_URL, async (client) => {
        await client.query("begin")
        const result = await run((text, values) => client.query(text, values))
        await client.query("commit")
        return result
      }),
  })
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const registry = registryOf(env)
    const { pathname, searchParams } = new URL(request.url)
    if (pathname === "/control-plane") {
      await registry.migrate()
      const name = searchParams.get("name")!
      const expiresAt = searchParams.get("expiresAt")
      const taken = await registry
        .create({ name, visibility: "public", ...(expiresAt === null ? {} : { expiresAt: Number(expiresAt) }) })
        .catch((cause: Error & { readonly _tag?: string }) => cause._tag ?? cause.message)
      return Response.json(typeof taken === "string" ? taken : taken.name)
    }
    if (pathname === "/changes") {
      const { cursor } = await registry.snapshot()
      const page = await registry.changes(`${cursor.split(":")[0]!}:0`)
      return Response.json(page.status === "gap" ? "gap" : page.changes.map(({ key }) => key))
    }
    const { signing } = await generateTicketKeys("test")
    const router = createRouter({ grammar, store: registry, providers: [local()], signingKey: signing })
    // Without the `Host` of miniflare's own connection.
    return (await router.fetch(new Request(request.url))) ?? new Response("not ours", { status: 421 })
  },
}
