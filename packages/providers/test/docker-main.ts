// Run by docker.test.ts on Bun and Deno: reaches the container whose id is the last argument.
import { docker } from "../src/docker.ts"
import { machineFetcher } from "../src/fetcher.ts"

const externalId = globalThis.process.argv.at(-1)!
const fetcher = machineFetcher(docker(), { id: "mach_1", type: "docker", externalId, metadata: {} })
const say = (): Promise<string> =>
  fetcher(new Request("http://app.test/")).then(
    (answer) => answer.text(),
    (error: unknown) => (error as { readonly _tag: string })._tag,
  )
console.log(await say())
await docker().start!(
  { id: "mach_1", type: "docker", externalId, metadata: {} },
  { signal: AbortSignal.timeout(10_000) },
)
console.log(await say())
globalThis.process.exit(0)
