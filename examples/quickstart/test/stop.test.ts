import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { setTimeout } from "node:timers/promises"
import { describe, expect, it } from "vitest"
import { everything } from "../../../test/requirements.ts"
import { need } from "./browser.ts"
import { ask, runningChildren, spawnDemo } from "./demo.ts"
import { madeBy, noEngine } from "./engine.ts"

type Started = ReturnType<typeof spawnDemo>

/** How a demo ended, and what it left behind. */
const ending = async (demo: Started) => ({
  code: await demo.exited,
  saysNothingIsLeft: demo.output().includes("nothing is left running"),
  processes: runningChildren(demo.output()),
  inEngine: await madeBy(demo.child.pid!),
})

const clean = { code: 0, saysNothingIsLeft: true, processes: [], inEngine: [] }

const imageMade = async (demo: Started): Promise<void> => {
  await demo.said("making the machines' image")
  while (demo.child.exitCode === null && (await madeBy(demo.child.pid!)).length === 0) await setTimeout(10)
}

/**
 * An engine in this process that carries out a creation only after its client has ended, or after a second: what a real one
 * does with a creation whose client hangs up. It fails to remove the first thing that it is asked to. `creating` is called when a
 * container's creation arrives.
 */
const slowEngine = async (creating: () => void, demoExited: () => Promise<unknown>) => {
  const containers = new Map<string, unknown>()
  let removals = 0
  const images = new Map<string, unknown>()
  const respond = async (method: string, path: string, body: string): Promise<readonly [number, unknown]> => {
    const [, kind, name = ""] = path.split("/")
    const things = kind === "containers" ? containers : images
    // The first removal fails, as it does now and then for a container that has only just started.
    if (method === "DELETE" && (removals += 1) === 1) return [500, { message: "device or resource busy" }]
    if (method === "DELETE") return [things.delete(name) ? 204 : 404, {}]
    if (name === "json") return [200, [...things].map(([Id, Labels]) => ({ Id, Labels }))]
    if (path === "/containers/create") {
      creating()
      await Promise.race([demoExited(), setTimeout(1_000)])
      const Id = `container${containers.size}`
      containers.set(Id, (JSON.parse(body) as { Labels: unknown }).Labels)
      return [201, { Id }]
    }
    return [200, {}]
  }
  const server = createServer((request, response) => {
    const path = request.url!.split("?")[0]!
    const chunks: Buffer[] = []
    // The image's tar is 130 MB: read and dropped.
    request.on("data", (chunk: Buffer) => path !== "/images/create" && chunks.push(chunk))
    request.on("end", () => {
      void respond(request.method!, path, Buffer.concat(chunks).toString()).then(([status, body]) => {
        response.writeHead(status).end(status === 204 ? undefined : JSON.stringify(body))
      })
    })
  })
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return { containers, server, host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}` }
}

describe("a start that takes long", () => {
  it("shows pages that wait, and no missing project", async () => {
    // An engine that accepts and says nothing.
    const engine = createServer(() => {})
    const free = createServer()
    for (const server of [engine, free]) await once(server.listen(0, "127.0.0.1"), "listening")
    const { port } = free.address() as AddressInfo
    await new Promise((closed) => free.close(closed))
    const DOCKER_HOST = `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}`
    const demo = spawnDemo({ INGRESS_DEMO_ENGINE: "docker", DOCKER_HOST, PORT: String(port) })
    await once(engine, "request")
    const [home, project] = await Promise.all([
      ask(port, `localhost:${port}`),
      ask(port, `4096__misha.localhost:${port}`, { headers: { accept: "text/html" } }),
    ])
    expect([home.status, home.headers["refresh"]]).toEqual([503, "1"])
    expect([project.status, project.headers["refresh"]]).toEqual([503, "1"])
    expect(project.headers["x-iterate-proxy-error"]).toBe("MACHINE_DETACHED")
    engine.close()
    engine.closeAllConnections()
    demo.child.kill("SIGKILL")
    await demo.exited
  })
})

describe("a start that is stopped half way", () => {
  it("leaves no process behind", async () => {
    const demo = spawnDemo({ INGRESS_DEMO_ENGINE: "local" })
    await demo.said("runs as process")
    demo.child.kill("SIGTERM")
    expect(await ending(demo)).toEqual(clean)
  })

  it.for<readonly [string, (demo: Started) => Promise<unknown>]>([
    ["while its image is made", (demo) => demo.said("making the machines' image")],
    // One moment of many; `pnpm test:all` tries more.
    ...(everything ? [0, 50, 100, 200, 350] : [50]).map(
      (ms) => [`${ms} ms after its image`, (demo: Started) => imageMade(demo).then(() => setTimeout(ms))] as const,
    ),
    ["when a container runs", (demo) => demo.said("runs as container")],
  ])("leaves nothing in an engine, stopped %s", async ([, moment], ctx) => {
    need(ctx, noEngine)
    const demo = spawnDemo({ INGRESS_DEMO_ENGINE: "docker" })
    await moment(demo)
    demo.child.kill("SIGINT")
    expect(await ending(demo)).toEqual(clean)
  })

  it("waits for containers whose creation is in flight, and removes again what the engine failed to remove", async (ctx) => {
    if (process.platform !== "linux") ctx.skip("an image is made from Linux's node only")
    let demo: Started | undefined
    const engine = await slowEngine(
      () => demo!.child.kill("SIGINT"),
      () => demo!.exited,
    )
    demo = spawnDemo({ INGRESS_DEMO_ENGINE: "docker", DOCKER_HOST: engine.host })
    expect(await demo.exited).toBe(0)
    expect(demo.output()).toContain("nothing is left running")
    await once(engine.server.close(), "close")
    expect([...engine.containers.keys()]).toEqual([])
  })

  it("says what it could not remove, and not that nothing is left", async (ctx) => {
    if (process.platform !== "linux") ctx.skip("an image is made from Linux's node only")
    let demo: Started | undefined
    const engine = createServer((request, response) => {
      const isList = request.url!.startsWith("/containers/json")
      response.statusCode = isList && demo!.output().includes("stopping") ? 500 : 200
      if (request.url!.startsWith("/images/create")) demo!.child.kill("SIGINT")
      request.resume().on("end", () => response.end("[]"))
    })
    engine.listen(0, "127.0.0.1")
    await once(engine, "listening")
    demo = spawnDemo({
      INGRESS_DEMO_ENGINE: "docker",
      DOCKER_HOST: `tcp://127.0.0.1:${(engine.address() as AddressInfo).port}`,
    })
    expect(await demo.exited).toBe(1)
    expect(demo.output()).toContain("could not clean up: the engine answered 500 for the list")
    expect(demo.output()).not.toContain("nothing is left running")
    engine.close()
  })
})
