import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { environment, healthy } from "./machines.ts"
import type { Machines, StartOptions, Undo } from "./machines.ts"
import { app, proxyCommand } from "./sources.ts"

/**
 * Machines as child processes, where no Docker Engine answers. They share one loopback, so each has ports of its own, and
 * its proxy allows no other: what would be another machine's port 4096 is refused.
 */
export const startLocal = async (options: StartOptions, undo: Undo): Promise<Machines> => {
  const routes = await Promise.all(options.ids.map((id) => startOne(id, options, undo)))
  return { routes: new Map(routes.map((route) => [route.machine.id, route])) }
}

const startOne = async (id: string, { verification, signal, say }: StartOptions, undo: Undo) => {
  const [appPort, plainPort] = [await freePort(), await freePort()]
  signal.throwIfAborted()
  const child = spawn(
    process.execPath,
    [
      "--conditions=@project-ingress/source",
      "--import",
      new URL(app, import.meta.url).href,
      fileURLToPath(proxyCommand),
    ],
    {
      stdio: ["pipe", "pipe", "inherit"],
      env: {
        // Not what somebody set for a machine proxy of their own.
        ...Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("INGRESS_"))),
        ...environment(id, verification),
        HOST: "127.0.0.1",
        PORT: "0",
        INGRESS_ALLOW_PORTS: `${appPort},${plainPort}`,
        INGRESS_DRAIN_MS: "500",
        DEMO_APP_PORT: String(appPort),
        DEMO_PLAIN_PORT: String(plainPort),
        DEMO_CHILD: "1",
      },
    },
  )
  const exited = once(child, "exit")
  undo.add(async () => {
    child.kill("SIGTERM")
    const late = setTimeout(() => child.kill("SIGKILL"), 3_000)
    await exited
    clearTimeout(late)
  })
  const port = await readyPort(child.stdout, exited, signal)
  await healthy(`http://127.0.0.1:${port}`, signal)
  say(`machine ${id} runs as process ${child.pid}, its proxy on port ${port}`)
  return {
    machine: { id, type: "local", externalId: id, metadata: { port, epoch: String(child.pid) } },
    port: plainPort,
    services: { app: appPort, plain: plainPort },
    published: port,
  }
}

/** The port in the ready line. */
const readyPort = async (
  output: NodeJS.ReadableStream,
  exited: Promise<unknown>,
  signal: AbortSignal,
): Promise<number> => {
  const lines = createInterface({ input: output })
  const ready = new Promise<number>((resolve) => {
    lines.on("line", (text) => {
      if (text.includes('"message":"ready"')) resolve((JSON.parse(text) as { port: number }).port)
    })
  })
  const ended = exited.then(() => Promise.reject(new Error("a machine's process ended at its start")))
  const aborted = new Promise<never>((_, reject) => {
    signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true })
  })
  return Promise.race([ready, ended, aborted])
}

const freePort = async (): Promise<number> => {
  const server = createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}
