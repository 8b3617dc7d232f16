import { spawn } from "node:child_process"
import { createSocket } from "node:dgram"
import { once } from "node:events"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { environment, healthy } from "./machines.ts"
import type { Machines, StartOptions, Undo } from "./machines.ts"
import { app, proxyCommand } from "./sources.ts"

/** What each machine listens on where it can. Linux and Windows have all of 127.0.0.0/8, macOS only 127.0.0.1. */
const loopbacks = Array.from({ length: 32 }, (_, index) => `127.0.0.${index + 2}`)

/**
 * Machines as child processes, where no Docker Engine answers. Each has a loopback address of its own and there the ports
 * that it has in a container. Where there is but one address, each has ports of its own and its proxy allows no other:
 * what would be another machine's port 4096 is refused.
 */
export const startLocal = async (options: StartOptions, undo: Undo, addresses = loopbacks): Promise<Machines> => {
  const { ids, say } = options
  const own: string[] = []
  for (const address of addresses) if (own.length < ids.length && (await claim(address, undo))) own.push(address)
  const byPort = own.length === ids.length
  if (!byPort) {
    say(
      `${addresses[0]} and the like cannot be used here: machines share 127.0.0.1, with other ports than 4096 and 3000`,
    )
  }
  const routes = await Promise.all(ids.map((id, index) => startOne(id, byPort ? own[index] : undefined, options, undo)))
  return { byPort, routes: new Map(routes.map((route) => [route.machine.id, route])) }
}

const startOne = async (id: string, own: string | undefined, { signing, signal, say }: StartOptions, undo: Undo) => {
  const address = own ?? "127.0.0.1"
  const [appPort, plainPort, proxyPort] =
    own === undefined
      ? [await freePort(address), await freePort(address), 0]
      : [4096, await freePort(address, 3000), await freePort(address, 8080)]
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
        ...(await environment(id, signing)),
        HOST: address,
        PORT: String(proxyPort),
        INGRESS_LOOPBACK: address,
        ...(own !== undefined ? {} : { INGRESS_ALLOW_PORTS: `${appPort},${plainPort}` }),
        INGRESS_DRAIN_MS: "500",
        DEMO_ADDRESS: address,
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
  await healthy(`http://${address}:${port}`, signal)
  say(`machine ${id} runs as process ${child.pid}, its proxy at ${address}:${port}`)
  return {
    machine: { id, type: "local", externalId: id, metadata: { host: address, port, epoch: String(child.pid) } },
    port: plainPort,
    services: { app: appPort, plain: plainPort },
    published: { host: address, port },
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

/**
 * Whether an address is ours from now on, with its port 4096. A UDP socket on that port keeps other demos away until the end
 * of this one; the TCP port is left for the app.
 */
const claim = async (address: string, undo: Undo): Promise<boolean> => {
  const socket = createSocket("udp4")
  try {
    await once(socket.bind(4096, address), "listening")
    await listened(address, 4096)
    undo.add(() => socket.close())
    return true
  } catch {
    socket.close()
    return false
  }
}

/** The port that is wanted when it is free, else any. */
const freePort = (address: string, wanted = 0): Promise<number> =>
  listened(address, wanted).catch(() => listened(address, 0))

/** Listens for a moment; rejects when that is not possible. */
const listened = async (address: string, wanted: number): Promise<number> => {
  const server = createServer().listen(wanted, address)
  await once(server, "listening")
  const { port } = server.address() as AddressInfo
  server.close()
  await once(server, "close")
  return port
}
