/** Two projects, two machines, one router, in one command. `pnpm demo`; PORT=0 takes any free port. */
import { generateTicketKeys } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { docker } from "@project-ingress/providers/docker"
import { local } from "@project-ingress/providers/local"
import { createRouter } from "@project-ingress/router"
import { serveNode } from "@project-ingress/router/node"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { control, makeProjects } from "./control.ts"
import type { Projects } from "./control.ts"
import { dockerApi } from "./docker-api.ts"
import { dockerProblem, startDocker } from "./docker-machines.ts"
import { startLocal } from "./local-machines.ts"
import { Undo } from "./machines.ts"
import type { Machines, StartOptions } from "./machines.ts"
import { detachedPage } from "./pages.ts"

const [machineA, machineB] = ["mach_a", "mach_b"] as const
const names = ["misha", "banana"] as const

const started = performance.now()
const say = (text: string): void => console.log(`${((performance.now() - started) / 1000).toFixed(1)} s  ${text}`)
const undo = new Undo()
const stopping = new AbortController()

interface Running {
  readonly projects: Projects
  readonly machines: Machines
  readonly why: string
}

const start = async (): Promise<Running> => {
  const port = listeningPort(process.env["PORT"] ?? "8787")
  const engine = oneEngine(process.env["INGRESS_DEMO_ENGINE"])
  const dockerHost = engine === "local" ? undefined : engineHost(process.env["DOCKER_HOST"])
  const { signal } = stopping
  let running: Running | undefined

  const { signing } = await generateTicketKeys("demo")
  // Until its machine has started, a project is there and detached, so that a page opened too early waits for it.
  const routes = memoryStore(Object.fromEntries(names.map((name) => [`p:${name}`, { kind: "detached" }])))
  const router = createRouter({
    grammar: defineGrammar({ domains: ["localhost"] }),
    store: routes,
    providers: [docker(dockerHost === undefined ? {} : { host: dockerHost }), local()],
    // Stopping a machine of the demo is meant to show what its visitors get; no visitor starts it again.
    machines: { wake: false },
    signingKey: signing,
    // The standard page of a detached project does not reload: it may be detached for months. Here it is attached a click later.
    errorResponses: {
      MachineDetached: ({ status }, { page, subject }) => (page ? detachedPage(status, subject.project) : undefined),
    },
  })
  const host = serveNode(router, { fallback: control(() => running) })
  const listening = await host.listen({ port, hostname: "127.0.0.1" }).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EADDRINUSE") throw error
    throw new Refused(`port ${port} is in use: set PORT to another one, PORT=0 takes any`)
  })
  undo.add(() => listening.close({ deadlineMs: 300 }))

  const options = { ids: [machineA, machineB], signing, signal, say }
  const { machines, why } = await startMachines(engine, dockerHost, options)
  signal.throwIfAborted()

  const projects = makeProjects(names, routes, machines, listening.port)
  projects.attach("misha", machineA)
  projects.attach("banana", machineB)
  running = { projects, machines, why }

  say(why)
  for (const { project, machine, links } of projects.state()) {
    say(`${project} → ${machine}: ${links.map(({ url }) => url).join(" and ")}`)
  }
  console.log(`ready http://localhost:${listening.port}/`)
  return running
}

/** Containers where an engine can run them, else processes; and why. */
const startMachines = async (engine: Engine | undefined, dockerHost: string | undefined, options: StartOptions) => {
  const { signal } = options
  let problem =
    engine === "local"
      ? "INGRESS_DEMO_ENGINE=local says so"
      : // Where processes would do, a busy engine is not waited for.
        await dockerProblem(
          dockerHost,
          AbortSignal.any([signal, AbortSignal.timeout(engine === "docker" ? 60_000 : 3_000)]),
        )
  if (problem === undefined) {
    const containers = new Undo()
    undo.add(() => containers.run())
    try {
      const machines = await startDocker(dockerHost, options, containers)
      return { machines, why: "Machines are containers: a Docker Engine answers." }
    } catch (error) {
      if (signal.aborted || engine === "docker") throw error
      problem = `a Docker Engine answers but cannot run them: ${(error as Error).message}`
      await containers.run()
    }
  }
  if (engine === "docker") throw new Refused(`INGRESS_DEMO_ENGINE=docker, but ${problem}`)
  return { machines: await startLocal(options, undo), why: `Machines are processes: ${problem}.` }
}

/** A person's mistake: one line, no stack. */
class Refused extends Error {}

const listeningPort = (text: string): number => {
  if (/^\d{1,5}$/.test(text) && Number(text) <= 65_535) return Number(text)
  throw new Refused(`PORT: ${JSON.stringify(text)} is not accepted; expected a port, 0 to 65535, 0 for any`)
}

type Engine = "docker" | "local"

const oneEngine = (text: string | undefined): Engine | undefined => {
  if (text === undefined || text === "docker" || text === "local") return text
  throw new Refused(`INGRESS_DEMO_ENGINE: ${JSON.stringify(text)} is not accepted; expected docker or local`)
}

const engineHost = (text: string | undefined): string | undefined => {
  // Empty means unset, as it does for Docker's own tools.
  if (text === undefined || text === "") return undefined
  try {
    dockerApi(text)
    return text
  } catch (error) {
    throw new Refused((error as Error).message, { cause: error })
  }
}

const readKeys = ({ projects }: Running): void => {
  if (!process.stdin.isTTY) return
  process.stdin.setRawMode(true)
  console.log("keys: 1 and 2 attach misha to a machine, d detaches it, q quits")
  undo.add(() => process.stdin.setRawMode(false).pause())
  process.stdin.setEncoding("utf8").on("data", (key: string) => {
    const machine = key === "1" ? machineA : key === "2" ? machineB : undefined
    if (machine !== undefined && projects.attach("misha", machine)) say(`misha → ${machine}: its pages follow`)
    else if (key === "d" && projects.detach("misha")) say("misha is detached")
    // In raw mode Ctrl-C is a character.
    else if (key === "q" || key === "\u0003") void stop(0)
  })
}

const running = start()
let stopped: { readonly at: number } | undefined

const stop = async (code: number): Promise<void> => {
  if (stopped !== undefined) {
    // pnpm and the terminal both send a signal for one Ctrl-C; only a later one means "at once".
    if (performance.now() - stopped.at > 1_000) process.exit(130)
    return
  }
  stopped = { at: performance.now() }
  say("stopping")
  stopping.abort(new Error("stopped"))
  // Whatever is half started is known only when the start has ended.
  await running.catch(() => undefined)
  const succeeded = await undo.run()
  if (succeeded) say("nothing is left running")
  process.exit(succeeded ? code : 1)
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void stop(0))

running.then(readKeys, async (error: unknown) => {
  if (stopped !== undefined) return
  console.error(error instanceof Refused ? error.message : error)
  await stop(1)
})
