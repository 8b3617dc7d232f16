// Run by docker.test.ts on Bun and Deno: reaches the container whose id is the last argument.
import { docker } from "../src/adapters/docker/docker.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

const externalId = globalThis.process.argv.at(-1)!
const machine = { id: "mach_1", type: "docker", externalId, metadata: {} }
const say = (wake: boolean): Promise<string> =>
  machineFetcher(docker(), machine, { wake })(new Request("http://app.test/")).then(
    (answer) => answer.text(),
    (error: unknown) => (error as { readonly _tag: string })._tag,
  )
console.log(await say(false))
console.log(await say(true))
globalThis.process.exit(0)
