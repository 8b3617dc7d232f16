/**
 * What an import costs a Worker: esbuild's minified bundle under workerd's conditions, gzip -9, with every dependency in it
 * (`effect` and `jose` too). Prints every entry, and fails when a budget is exceeded or the README's table is off by more
 * than a tenth. Needs no build.
 *
 *     pnpm size
 *
 * esbuild itself and not size-limit: wrangler bundles with esbuild, and size-limit's bundler takes no conditions.
 */
import { readFile, readdir } from "node:fs/promises"
import { join } from "node:path"
import { gzipSync } from "node:zlib"
import { build } from "esbuild"

const root = join(import.meta.dirname, "..")

interface Import {
  readonly name: string
  readonly code: string
  /** The package that resolves the names in `code`: itself and what it depends on. */
  readonly from: string
  /** Bytes, gzipped. */
  readonly budget?: number
}

const budgets: readonly Import[] = [
  {
    name: "hostname, all of it",
    from: "hostname",
    code: `export * from "@project-ingress/hostname"`,
    budget: 4_000,
  },
  {
    name: "router, memory store, one provider",
    from: "router",
    code: `
      export { defineGrammar } from "@project-ingress/hostname"
      export { createRouter } from "@project-ingress/router"
      export { memoryStore } from "@project-ingress/router/stores/memory"
      export { local } from "@project-ingress/providers/local"`,
    // Of these 3.5 kB are the control channel to machine proxies (withdrawn access, which ports are in use), 3 kB waking and holding,
    // 2 kB explain.
    budget: 69_000,
  },
  {
    name: "a Worker that routes: D1, two policies",
    from: "router",
    code: `
      export { defineGrammar } from "@project-ingress/hostname"
      export { AccessDenied, createRouter, LoginRequired } from "@project-ingress/router"
      export { rateLimit } from "@project-ingress/router/policies"
      export { d1Routes } from "@project-ingress/router/stores/d1-routes"
      export { local } from "@project-ingress/providers/local"`,
    budget: 71_000,
  },
  {
    // To be 60 kB. Of these effect has 11, the layered store 6, KV, D1 and the Cache API 1.7 together.
    name: "the same with layers, KV, Cache API",
    from: "router",
    code: `
      export { defineGrammar } from "@project-ingress/hostname"
      export { AccessDenied, createRouter, LoginRequired } from "@project-ingress/router"
      export { rateLimit } from "@project-ingress/router/policies"
      export { cacheApi } from "@project-ingress/router/stores/cache-api"
      export { kvCache } from "@project-ingress/router/stores/cloudflare-kv"
      export { d1Routes } from "@project-ingress/router/stores/d1-routes"
      export { layeredStore } from "@project-ingress/router/stores/layered"
      export { local } from "@project-ingress/providers/local"`,
    budget: 77_500,
  },
]

/** Every entry alone, with all that it exports. */
const entries = async (): Promise<Import[]> => {
  const folders = (await readdir(join(root, "packages"))).toSorted()
  const found = folders.map(async (from) => {
    const manifest: { name: string; exports: Record<string, unknown> } = JSON.parse(
      await readFile(join(root, "packages", from, "package.json"), "utf8"),
    )
    const paths = Object.keys(manifest.exports).filter((path) => path !== "./package.json")
    return paths.map((path) => {
      const specifier = manifest.name + path.slice(1)
      return { name: from + path.slice(1), from, code: `export * from "${specifier}"` }
    })
  })
  return (await Promise.all(found)).flat()
}

const measure = async ({ code, from }: Import): Promise<{ minified: number; gzipped: number }> => {
  const { outputFiles } = await build({
    stdin: { contents: code, resolveDir: join(root, "packages", from), loader: "ts" },
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    conditions: ["@project-ingress/source", "workerd", "worker", "browser"],
    // `buffer`: dns-packet, which is for Node alone, has the old names.
    external: ["node:*", "cloudflare:*", "buffer"],
    write: false,
    logLevel: "silent",
  })
  const bytes = outputFiles[0]?.contents
  if (!bytes || bytes.length === 0) throw new Error("an empty bundle")
  return { minified: bytes.length, gzipped: gzipSync(bytes, { level: 9 }).length }
}

const kilobytes = (bytes: number): string => `${(bytes / 1000).toFixed(1)} kB`

const row = (...[name = "", ...numbers]: string[]): void =>
  console.log(`${name.padEnd(40)}${numbers.map((each) => each.padStart(11)).join("")}`)

/** What the README's table says of a main entry, in bytes; `undefined` when it says nothing. */
const readme = await readFile(join(root, "README.md"), "utf8")
const promised = (name: string): number | undefined => {
  const said = new RegExp(`^\\| \\[\`${name}\`\\].*?\\| (\\d+\\.\\d) kB`, "m").exec(readme)?.[1]
  return said === undefined ? undefined : Number(said) * 1000
}

const print = async (each: Import): Promise<boolean> => {
  try {
    const { minified, gzipped } = await measure(each)
    const fits = each.budget === undefined || gzipped <= each.budget
    const budget = each.budget === undefined ? "" : kilobytes(each.budget)
    row(each.name, kilobytes(minified), kilobytes(gzipped), budget, ...(fits ? [] : ["  OVER THE BUDGET"]))
    const said = promised(each.name)
    const holds = said === undefined || Math.abs(said - gzipped) <= 0.1 * gzipped
    if (!holds) console.log(`README.md says ${kilobytes(said)} of ${each.name}: change its table.`)
    return fits && holds
  } catch (error) {
    console.log(`${each.name}: ${error instanceof Error ? error.message : String(error)}`)
    return false
  }
}

const results: boolean[] = []
row("entry, with its dependencies", "minified", "gzip -9")
for (const each of await entries()) results.push(await print(each))
console.log()
row("budget", "minified", "gzip -9", "budget")
for (const each of budgets) results.push(await print(each))
if (results.includes(false)) process.exitCode = 1
