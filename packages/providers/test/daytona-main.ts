// Run by daytona.test.ts on Bun and Deno: reaches a sandbox that is stopped, starts it and reaches it again.
import { daytona } from "../src/daytona.ts"
import { machineFetcher } from "../src/fetcher.ts"

const { options, machine, fetcherOptions } = JSON.parse(globalThis.process.argv.at(-1)!)
const provider = daytona(options)
const fetcher = machineFetcher(provider, machine, fetcherOptions)
const say = (): Promise<string> =>
  fetcher(new Request("http://app.test/a%2Fb", { headers: { authorization: "Bearer app" } })).then(
    async (answer) => `${answer.status} ${await answer.text()}`,
    (error: unknown) => (error as { readonly _tag: string })._tag,
  )
console.log(await say())
await provider.start!(machine, { signal: AbortSignal.timeout(10_000) })
console.log(await say())
globalThis.process.exit(0)
