/**
 * Prints which of our files one request runs through, in order, so that a reader can follow it and see where it goes back and forth:
 *
 *     pnpm walk             router.fetch and serveNode: totals, and each step of a cold request
 *     pnpm walk --json      the same as data
 *
 * The request takes the happy path: memory store, `local` provider, one policy, GET without a body. Cold is the first request of a
 * router, warm the third. A file counts when one of its functions runs while the request is under way; a hop is a step from one
 * of our files to another (a call, a return that is followed by another call, or a generator that goes on); a re-entry is a step to a file that
 * was left before. Types are not counted.
 *
 * How: the sources are loaded with one call added to the beginning of each function and after each `yield` and `await`
 * (`walk/instrument.ts`); the machine and its app run in another process, which is not traced.
 */
import { fork } from "node:child_process"
import { once } from "node:events"
import { readFileSync } from "node:fs"
import { get } from "node:http"
import { registerHooks } from "node:module"
import { join, relative } from "node:path"
import { fileURLToPath } from "node:url"
import { parseArgs } from "node:util"
import type { MachineMessage } from "./walk/machine.ts"
import { instrument } from "./walk/instrument.ts"
import { makeTrace, type Step } from "./walk/trace.ts"

const root = join(import.meta.dirname, "..")
const { values: args } = parseArgs({ options: { json: { type: "boolean", default: false } } })

const trace = makeTrace((file) => relative(root, fileURLToPath(file)))
registerHooks({
  load(url, context, next) {
    const loaded = next(url, context)
    if (!/\/packages\/[^/]+\/src\/.*\.ts$/.test(url)) return loaded
    return { ...loaded, source: instrument(url, readFileSync(new URL(url), "utf8")) }
  },
})

const { createRouter } = await import("../packages/router/src/router.ts")
const { serveNode } = await import("../packages/router/src/hosts/node.ts")
const { memoryStore } = await import("../packages/router/src/stores/memory.ts")
const { local } = await import("../packages/providers/src/adapters/local.ts")
const { defineGrammar } = await import("../packages/hostname/src/hostname.ts")

const machineProcess = fork(join(root, "scripts/walk/machine.ts"), [], {
  execArgv: ["--conditions=@project-ingress/source"],
})
const failed = new AbortController()
machineProcess.once("exit", (code) => failed.abort(new Error(`the machine's process ended with code ${code}`)))
const [machine] = (await once(machineProcess, "message", { signal: failed.signal })) as [MachineMessage]

const hostname = `${machine.appPort}__misha.iterate.app`
const makeRouter = () => {
  const record = {
    machine: { id: machine.id, type: "local", externalId: "m", metadata: { port: machine.proxyPort } },
  }
  return createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"] }),
    store: memoryStore({ "p:misha": record }),
    providers: [local()],
    signingKey: machine.signingKey,
    policies: [() => undefined],
  })
}

/** One request from its start to the end of its response's body. Resolves with that body. */
type Send = () => Promise<string | undefined>

const byFetch = (router: ReturnType<typeof makeRouter>): Send => {
  const request = () => new Request(`https://${hostname}/docs`)
  return async () => (await router.fetch(request()))?.text()
}

const bySocket =
  (port: number): Send =>
  () =>
    new Promise((resolve, reject) => {
      const options = { port, path: "/docs", headers: { host: hostname }, agent: false }
      get(options, (response) => {
        response.toArray().then((parts) => resolve(parts.join("")), reject)
      }).on("error", reject)
    })

interface Walk {
  readonly name: string
  readonly files: number
  readonly hops: number
  readonly reentries: number
  readonly steps: readonly Step[]
}

const walk = async (name: string, send: Send): Promise<Walk> => {
  const { result, steps } = await trace(send)
  if (result !== "hello from /docs") throw new Error(`${name}: got ${result}`)
  const files = new Set(steps.map((step) => step.file)).size
  return { name, files, hops: steps.length - 1, reentries: steps.length - files, steps }
}

const coldAndWarm = async (name: string, send: Send): Promise<Walk[]> => {
  const cold = await walk(`${name}, cold`, send)
  await send()
  return [cold, await walk(`${name}, warm`, send)]
}

const print = ({ name, files, hops, reentries, steps }: Walk, withSteps: boolean) => {
  console.log(`${name}: ${files} files, ${hops} hops, ${reentries} re-entries`)
  if (!withSteps) return
  const width = Math.max(...steps.map((step) => step.file.length))
  const seen = new Set<string>()
  for (const { file, functions } of steps) {
    console.log(`  ${seen.has(file) ? "↩" : " "} ${file.padEnd(width)}  ${functions.join(", ")}`)
    seen.add(file)
  }
  const visits = Map.groupBy(steps, (step) => step.file)
  const often = [...visits].filter(([, each]) => each.length > 2).toSorted(([, a], [, b]) => b.length - a.length)
  console.log(`  entered most often: ${often.map(([file, each]) => `${file} ${each.length}`).join(", ")}\n`)
}

try {
  const fetched = await coldAndWarm("router.fetch", byFetch(makeRouter()))
  const host = serveNode(makeRouter())
  const { port, close } = await host.listen()
  const served = await coldAndWarm("serveNode", bySocket(port))
  await close()
  const walks = [...fetched, ...served]
  if (args.json) console.log(JSON.stringify(walks))
  else for (const each of walks) print(each, each.name.endsWith("cold"))
} finally {
  machineProcess.kill()
}
