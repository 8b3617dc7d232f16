// Run by fetch.test.ts on Bun and Deno: prints what `check` finds.
import { check } from "./fetch-check.ts"

const [name, origin, closed] = globalThis.process.argv.slice(-3)
const { forwardFetch } = await (name === "bun" ? import("../src/fetch/bun.ts") : import("../src/fetch/deno.ts"))
console.log(JSON.stringify(await check(forwardFetch, origin!, closed!)))
globalThis.process.exit(0)
