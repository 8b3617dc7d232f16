import { once } from "node:events"
import { readFileSync } from "node:fs"
import { mkdtemp, rm, writeFile } from "node:fs/promises"
import { connect } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import * as tls from "node:tls"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { docker } from "../src/adapters/docker/docker.ts"
import type { DockerOptions } from "../src/adapters/docker/docker.ts"
import type { EngineTls } from "../src/adapters/docker/engine-tls.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { certificates, ownEngineMissing, startOwnEngine } from "./docker-own-engine.ts"
import type { OwnEngine } from "./docker-own-engine.ts"
import type { Question, Told } from "./docker-tls-main.ts"
import { engineMissing, hasIPv6, importNodeImage, removeMachines, runMachine } from "./engine.ts"
import { programs, run } from "./runtimes.ts"
import type { Command } from "./runtimes.ts"
import { everything } from "../../../test/requirements.ts"

const signal = new AbortController().signal
const pem = (holder: Parameters<typeof certificates>[0], name: "ca" | "cert" | "key"): string =>
  readFileSync(join(certificates(holder), `${name}.pem`), "utf8")
const { ca, cert, key } = { ca: pem("client", "ca"), cert: pem("client", "cert"), key: pem("client", "key") }
const stranger = { ca: pem("stranger", "ca"), cert: pem("stranger", "cert"), key: pem("stranger", "key") }

const machineOf = (externalId: string): Machine => ({ id: "mach_1", type: "docker", externalId, metadata: {} })
const byEnvironment = (host: string, folder: string): DockerOptions => ({
  env: { DOCKER_HOST: host, DOCKER_TLS_VERIFY: "1", DOCKER_CERT_PATH: folder },
})

const runtimes: readonly (readonly [name: string, command: Command])[] = [
  ["Node", [process.execPath, "--conditions=@project-ingress/source"]],
  ["Bun", programs.bun],
  ["Deno", programs.deno],
]

/** Asks from another process of a runtime. What an error says is searched for key material. */
const ask = async (command: Command, ...questions: Question[]): Promise<Told[]> => {
  const { stdout } = await run(command, "docker-tls-main.ts", { args: [JSON.stringify(questions)] })
  const told = JSON.parse(stdout) as Told[]
  const texts = [ca, cert, key, ...Object.values(stranger)].flatMap((text) => text.trim().split("\n"))
  // Errors about a certificate hold it as an object, with its fingerprints.
  for (const { log = "" } of told) for (const text of [...texts, "fingerprint"]) expect(log).not.toContain(text)
  return told.map(({ said, tag, reason }) => ({ said, tag, reason }))
}

const own = everything ? await ownEngineMissing() : "runs by pnpm test:all"
describe.skipIf(own !== undefined)(
  `docker, with an engine of its own over TLS${own === undefined ? "" : `: ${own}`}`,
  () => {
    let folders: string
    let engine: OwnEngine
    let host: string
    let id: string
    beforeAll(async () => {
      folders = await mkdtemp(join(tmpdir(), "ingress-certificates-"))
      engine = await startOwnEngine()
      host = `tcp://127.0.0.1:${engine.port}`
      id = await engine.create()
    })
    afterAll(async () => {
      await engine?.close()
      await rm(folders, { recursive: true, force: true })
    })

    const folderOf = async (texts: EngineTls): Promise<string> => {
      const folder = await mkdtemp(join(folders, "of-"))
      for (const [name, text] of Object.entries(texts)) await writeFile(join(folder, `${name}.pem`), text)
      return folder
    }
    const status = (options: DockerOptions): Question => ({ options, externalId: id, ask: "status" })

    it.each(runtimes)("is let in from %s by its certificate, given as an option or in a folder", async (_, command) => {
      const answers = await ask(
        command,
        status({ host, tls: { ca, cert, key } }),
        status({ host: `tcp://localhost:${engine.port}`, tls: { ca, cert, key } }),
        status({ host: `https://127.0.0.1:${engine.port}/`, tls: { ca, cert, key } }),
        status(byEnvironment(host, certificates("client"))),
      )
      expect(answers.map(({ said }) => said)).toEqual(Array(4).fill("stopped"))
    })

    it.each(runtimes)("is refused from %s without a certificate, and with another CA's", async (_, command) => {
      const folder = await folderOf({ ca, cert: stranger.cert, key: stranger.key })
      const answers = await ask(
        command,
        status({ host, tls: { ca } }),
        status({ host, tls: { ...stranger, ca } }),
        status(byEnvironment(host, folder)),
      )
      expect(answers.map(({ tag }) => tag)).toEqual(Array(3).fill("ProviderAuth"))
    })

    it.each(runtimes)("trusts no engine from %s but one that its CA signed", async (_, command) => {
      const answers = await ask(
        command,
        status({ host, tls: { ca: stranger.ca, cert, key } }),
        status({ host, tls: { cert, key } }),
        status(byEnvironment(host, certificates("stranger"))),
      )
      for (const { tag, reason } of answers) {
        expect(tag).toBe("ProviderUnavailable")
        expect(reason).toMatch(/^TLS: \w*(?:CERT|SIGNATURE)/)
      }
    })

    it.each(runtimes)("names the file that cannot be used from %s", async (_, command) => {
      const [missing, garbled, keyless, broken] = await ask(
        command,
        status(byEnvironment(host, join(folders, "no-such"))),
        status(byEnvironment(host, await folderOf({ ca: "", cert, key }))),
        status(byEnvironment(host, await folderOf({ ca, cert }))),
        status(byEnvironment(host, await folderOf({ ca, cert, key: key.replace(/^M\w{7}/m, "AAAAAAAA") }))),
      )
      const unavailable = (reason: string) => ({ tag: "ProviderUnavailable", reason: `DOCKER_CERT_PATH: ${reason}` })
      expect(missing).toEqual(unavailable("ca.pem cannot be read: ENOENT"))
      expect(garbled).toEqual(unavailable("ca.pem is not the PEM text of a certificate"))
      expect(keyless).toEqual(unavailable("key.pem cannot be read: ENOENT"))
      // What only the TLS library sees.
      expect(broken).toMatchObject({ tag: "ProviderUnavailable", reason: expect.stringMatching(/^TLS: /) as string })
    })

    it.each(runtimes)("does not speak TLS from %s unless it is told to", async (_, command) => {
      const [told] = await ask(command, status({ host, env: {} }))
      // dockerd: "Client sent an HTTP request to an HTTPS server."
      expect(told).toEqual({ tag: "ProviderUnavailable", reason: "HTTP 400" })
    })

    // Nothing says when an engine is being listened to, so something happens until it was heard.
    const stir = async ({ create, docker }: OwnEngine, heard: () => boolean): Promise<void> => {
      while (!heard()) await docker("rm", await create())
    }

    it.each(runtimes)("tells of changes on %s", async (_, command) => {
      let ended = false
      const asked = ask(command, { ...status({ host, tls: { ca, cert, key } }), ask: "watch" }).finally(() => {
        ended = true
      })
      await Promise.race([asked, stir(engine, () => ended)])
      expect(await asked).toEqual([{ said: "gone" }])
    })

    it("ends a watch when the engine dies, and tells the next one what happened meanwhile", async () => {
      const mortal = await startOwnEngine()
      try {
        const provider = docker({ host: `tcp://127.0.0.1:${mortal.port}`, tls: { ca, cert, key } })
        const stays = machineOf(await mortal.create())
        const gone: string[] = []
        const watch = async (ends: AbortSignal): Promise<unknown> => {
          try {
            for await (const { externalId, state } of provider.watch!({ signal: ends })) {
              if (state === "gone") gone.push(externalId)
            }
          } catch (error) {
            return error
          }
          return "ended without an error"
        }
        const first = watch(signal)
        await stir(mortal, () => gone.length > 0)
        await mortal.kill()
        expect(await first).toMatchObject({ _tag: "ProviderUnavailable", reason: "ECONNRESET" })
        expect(await watch(signal)).toMatchObject({ _tag: "ProviderUnavailable", reason: "ECONNREFUSED" })
        await expect(provider.status!(stays, { signal })).rejects.toMatchObject({ _tag: "ProviderUnavailable" })

        await mortal.start()
        expect(await provider.status!(stays, { signal })).toMatchObject({ state: "stopped" })
        const missed = await mortal.create()
        await mortal.docker("rm", missed)
        gone.length = 0
        const watching = new AbortController()
        const second = watch(watching.signal)
        await expect.poll(() => gone[0], { timeout: 10_000 }).toBe(missed)
        watching.abort()
        expect(await second).toBe("ended without an error")
      } finally {
        await mortal.close()
      }
    })
  },
)

/** What stands before an engine that runs already: TLS, and a certificate is asked for. */
const tlsFront = async (holder: "server" | "client", socketPath: string) => {
  const identity = { ca: pem(holder, "ca"), cert: pem(holder, "cert"), key: pem(holder, "key") }
  const sockets = new Set<tls.TLSSocket>()
  const server = tls.createServer({ ...identity, requestCert: true, rejectUnauthorized: true }, (socket) => {
    const onward = connect(socketPath)
    sockets.add(socket)
    socket.on("close", () => {
      sockets.delete(socket)
      onward.destroy()
    })
    socket.on("error", () => onward.destroy())
    onward.on("error", () => socket.destroy())
    socket.pipe(onward).pipe(socket)
  })
  server.on("tlsClientError", () => {})
  server.listen(0)
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    sockets,
    close: () => {
      for (const socket of sockets) socket.destroy()
      server.close()
    },
  }
}

// Stands for the machine's proxy: answers, stamped, on 8080.
const stamping = `
import { createServer } from "node:http"
createServer((request, response) => {
  response.writeHead(200, { "x-iterate-proxy-stamp": "1" }).end("from " + process.env.NAME)
}).listen(8080)
`

const missing = everything ? await engineMissing() : "runs by pnpm test:all"
describe.skipIf(missing !== undefined)(
  `docker, with a real engine behind TLS${missing === undefined ? "" : `: ${missing}`}`,
  () => {
    let image: string
    let front: Awaited<ReturnType<typeof tlsFront>>
    let misnamed: Awaited<ReturnType<typeof tlsFront>>
    beforeAll(async () => {
      const socketPath = (process.env["DOCKER_HOST"] || "/var/run/docker.sock").replace(/^unix:\/\//, "")
      ;[image, front, misnamed] = await Promise.all([
        importNodeImage(),
        tlsFront("server", socketPath),
        tlsFront("client", socketPath),
      ])
    })
    afterEach(removeMachines)
    afterAll(async () => {
      front?.close()
      misnamed?.close()
      await removeMachines()
    })
    const machine = (publish: string, start = false) =>
      runMachine({
        image,
        files: { "/app/server.mjs": stamping },
        options: ["--publish", publish, "--env", "NAME=a"],
        start,
      })
    const over = (host: string): DockerOptions => ({ host, tls: { ca, cert, key } })

    it.each(runtimes)("starts and reaches a machine from %s", { timeout: 40_000 }, async (_, command) => {
      const { id } = await machine("127.0.0.1::8080")
      const asked = { externalId: id, ask: "fetch" } as const
      const told = await ask(
        command,
        { ...asked, options: over(`tcp://localhost:${front.port}`) },
        { ...asked, options: byEnvironment(`tcp://127.0.0.1:${front.port}`, certificates("client")) },
      )
      expect(told).toEqual([{ said: "from a" }, { said: "from a" }])
    })

    it.each(runtimes)("trusts no engine from %s that has another's name", async (_, command) => {
      const options = over(`tcp://127.0.0.1:${misnamed.port}`)
      const told = await ask(command, { externalId: "a", ask: "status", options })
      expect(told).toEqual([{ tag: "ProviderUnavailable", reason: "TLS: ERR_TLS_CERT_ALTNAME_INVALID" }])
    })

    it("finds published ports at the host that the engine is reached at", { timeout: 20_000 }, async () => {
      const { id } = await machine("0.0.0.0::8080", true)
      const origin = async (name: string) => {
        const provider: MachineProvider = docker(over(`tcp://${name}:${front.port}`))
        return (await provider.resolve(machineOf(id), { port: 3000, signal })).origin
      }
      expect(await origin("localhost")).toMatch(/^http:\/\/localhost:\d+$/)
      expect(await origin("127.0.0.1")).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    })

    it("is let in at an IPv6 address, and finds what is published on IPv4", { timeout: 20_000 }, async (ctx) => {
      if (!(await hasIPv6())) ctx.skip("no IPv6 loopback here")
      const { id } = await machine("0.0.0.0::8080", true)
      const { origin } = await docker(over(`tcp://[::1]:${front.port}`)).resolve(machineOf(id), { port: 3000, signal })
      expect(origin).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
    })

    it("leaves no connection behind when a watch ends", async () => {
      const { sockets } = front
      const watching = new AbortController()
      const watched = (async () => {
        for await (const _ of docker(over(`tcp://127.0.0.1:${front.port}`)).watch!({ signal: watching.signal }));
      })()
      // Two connections were made by then, and the one that asked for the version is over.
      await expect.poll(() => sockets.size).toBeGreaterThan(0)
      watching.abort()
      await watched
      await expect.poll(() => sockets.size).toBe(0)
    })
  },
)
