// Run by fetch-connect.test.ts on Bun and Deno: prints what `check` finds.
import { check } from "./fetch-connect-check.ts"

const [name, origin, closed] = globalThis.process.argv.slice(-3)
const { forwardConnect } = await (name === "bun" ? import("../src/fetch/bun.ts") : import("../src/fetch/deno.ts"))
console.log(JSON.stringify(await check(forwardConnect, origin!, closed!)))
globalThis.process.exit(0)
