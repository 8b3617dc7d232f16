/** Containers of a real engine that run the real machine proxy, beside the suite's app. */
import { createServer, request as httpRequest } from "node:http"
import { once } from "node:events"
import type { AddressInfo } from "node:net"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { Machine } from "../src/contract/machine-provider.ts"
import { eventually } from "../src/testing/assert.ts"
import { appSource } from "../src/testing.ts"
import { provider } from "./conformance-remote.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { bundledServer } from "./docker-machine.ts"
import { importNodeImage, removeMachines, runMachine } from "./engine.ts"
import type { RunningMachine } from "./engine.ts"

/** Listens on 8080 as a machine's image does. SIGUSR2 makes it stop listening, and listen again; it logs each change. */
const serverSource = `
import { createServer } from "node:net"
import { createMachineProxy } from "./machine-proxy/src/machine-proxy.ts"
const { MACHINE, KEYS } = process.env
const proxy = createMachineProxy({ machine: MACHINE, keys: JSON.parse(KEYS) })
const sockets = new Set()
const server = createServer((socket) => {
  sockets.add(socket)
  socket.once("close", () => sockets.delete(socket))
  proxy.connection(socket)
})
server.listen(8080)
process.on("SIGUSR2", () => {
  if (!server.listening) return server.listen(8080, () => console.log("changed"))
  server.close()
  for (const socket of sockets) socket.destroy()
  console.log("changed")
})
await import(new URL("app.mjs", import.meta.url).href)
`

/** A proxy in front of the engine's API that can be silent, or fail. */
const engineFront = async (socketPath: string) => {
  let silent = false
  let failing: number | undefined
  const server = createServer((request, response) => {
    if (silent) return undefined
    if (failing !== undefined) return response.writeHead(failing).end(`{"message":"failed"}`)
    const { method, url, headers } = request
    const onward = httpRequest({ socketPath, method, path: url, headers }, (answer) => {
      response.writeHead(answer.statusCode!, answer.headers)
      answer.pipe(response)
    })
    onward.on("error", () => response.destroy())
    return request.pipe(onward)
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const fails = (status: number) => async () => {
    failing = status
    return () => {
      failing = undefined
    }
  }
  return {
    host: `tcp://127.0.0.1:${(server.address() as AddressInfo).port}`,
    unauthorized: fails(403),
    unavailable: fails(500),
    hang: async () => {
      silent = true
      return () => {
        silent = false
      }
    },
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}

export const dockerFixture = async (): Promise<Proved> => {
  const { signing } = await generateTicketKeys("conformance")
  const [image, server] = await Promise.all([importNodeImage(), bundledServer(serverSource)])
  const run = async (id: string, publish = "127.0.0.1::8080"): Promise<RunningMachine> =>
    runMachine({
      image,
      files: { "/app/server.mjs": server, "/app/app.mjs": appSource(id) },
      options: [
        "--publish",
        publish,
        "--env",
        `MACHINE=${id}`,
        "--env",
        `KEYS=${JSON.stringify([await machineKey(signing, id)])}`,
      ],
    })
  const front = await engineFront((process.env["DOCKER_HOST"] || "/var/run/docker.sock").replace(/^unix:\/\//, ""))
  const started = Promise.all([run("mach_a"), run("mach_b")])
  const [a, second] = await started.catch(async (error: unknown) => {
    front.close()
    await removeMachines()
    throw error
  })
  let b = second
  const record = (id: string, externalId: string, metadata: Machine["metadata"] = {}): Machine => ({
    id,
    type: "docker",
    externalId,
    metadata,
  })
  const machine = record("mach_a", a.id)
  const wrong = (metadata: Machine["metadata"]): Machine => ({ ...machine, metadata })
  // A signal is handled some time after it was sent.
  const changes = async (): Promise<number> => (await a.docker("logs")).split("changed").length - 1
  const listenOrNot = async (): Promise<void> => {
    const before = await changes()
    await a.docker("kill", "--signal", "USR2")
    await eventually(async () => (await changes()) > before, "the container did not handle the signal")
  }
  const made: Made = { adapter: "docker", host: front.host }
  return {
    made,
    provider: provider(made),
    machine,
    get other() {
      return record("mach_b", b.id)
    },
    signingKey: signing,
    missing: { ...machine, externalId: "f".repeat(64) },
    wrong: {
      address: wrong({ address: "elsewhere" }),
      network: wrong({ network: 7 }),
      origin: wrong({ origin: "http://user:password@host/path" }),
      externalId: { ...machine, externalId: "../images" },
    },
    stop: () => a.docker("stop", "--time", "0"),
    suspend: () => a.docker("pause"),
    restart: async () => {
      await a.docker("unpause").catch(() => {})
      await a.docker("restart", "--time", "0")
      return machine
    },
    remove: () => a.remove(),
    // The engine gives a published port to whoever asks for it next.
    swap: async () => {
      const published = await a.docker("port")
      const port = /127\.0\.0\.1:(\d+)/.exec(published)![1]!
      await b.remove()
      await a.docker("stop", "--time", "0")
      b = await run("mach_b", `127.0.0.1:${port}:8080`)
      await a.docker("start")
      return machine
    },
    portClosed: async () => {
      await listenOrNot()
      return listenOrNot
    },
    hang: front.hang,
    unauthorized: front.unauthorized,
    unavailable: front.unavailable,
    close: async () => {
      front.close()
      await removeMachines()
    },
  }
}
