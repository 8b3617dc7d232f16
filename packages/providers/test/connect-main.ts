// Run by connect.test.ts on Bun and Deno: prints what `check` finds.
import { check } from "./connect-check.ts"

console.log(JSON.stringify(await check(Number(globalThis.process.argv.at(-1)))))
globalThis.process.exit(0)
