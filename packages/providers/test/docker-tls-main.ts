// Run by docker-tls.test.ts on Node, Bun and Deno: what becomes of each question in its last argument, as JSON.
import { inspect } from "node:util"
import { docker } from "../src/adapters/docker/docker.ts"
import type { DockerOptions } from "../src/adapters/docker/docker.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

export interface Question {
  readonly options: DockerOptions
  readonly externalId: string
  readonly ask: "status" | "fetch" | "watch"
}

export interface Told {
  /** The state, the app's text or the change that was told of. */
  readonly said?: unknown
  readonly tag?: string | undefined
  readonly reason?: string | undefined
  /** The error as a log would have it, its causes and all. */
  readonly log?: string
}

const answer = async ({ options, externalId, ask }: Question): Promise<unknown> => {
  const provider = docker(options)
  const machine = { id: "mach_1", type: "docker", externalId, metadata: {} }
  if (ask === "status") return (await provider.status!(machine, { signal: new AbortController().signal })).state
  if (ask === "fetch") return (await machineFetcher(provider, machine)(new Request("http://app.test/"))).text()
  const watching = new AbortController()
  for await (const { state } of provider.watch!({ signal: watching.signal })) {
    watching.abort()
    return state
  }
  return undefined
}

const tell = async (question: Question): Promise<Told> => {
  try {
    return { said: await answer(question) }
  } catch (error) {
    const { _tag: tag, reason, stack } = error as { _tag: string; reason?: string; stack?: string }
    const log = inspect(error, { depth: Infinity, showHidden: true }) + stack + JSON.stringify(error)
    return { tag, reason, log }
  }
}

const questions = JSON.parse(globalThis.process.argv.at(-1)!) as readonly Question[]
console.log(JSON.stringify(await Promise.all(questions.map(tell))))
globalThis.process.exit(0)
