import { createServer } from "node:http"
import type { Server } from "node:http"
import { once } from "node:events"
import { mkdtemp, rm } from "node:fs/promises"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { docker } from "../src/docker.ts"
import { machineFetcher } from "../src/fetcher.ts"
import type { Machine, MachineChange, MachineProvider } from "../src/machine-provider.ts"
import { engineMissing, importNodeImage, removeMachines, runMachine } from "./engine.ts"
import type { MachineSpec, RunningMachine } from "./engine.ts"
import { programs, run } from "./runtimes.ts"

const missing = await engineMissing()
const signal = new AbortController().signal

// Stands for the machine's proxy: answers, stamped, on 8080.
const stamping = `
import { createServer } from "node:http"
createServer((request, response) => {
  response.writeHead(200, { "x-iterate-proxy-stamp": "1" }).end("from " + process.env.NAME)
}).listen(8080)
`

const machineOf = (externalId: string, metadata: Machine["metadata"] = {}): Machine => ({
  id: "mach_1",
  type: "docker",
  externalId,
  metadata,
})

describe.skipIf(missing !== undefined)(
  `docker, with a real engine${missing === undefined ? "" : `: ${missing}`}`,
  () => {
    let image: string
    beforeAll(async () => {
      image = await importNodeImage()
    }, 60_000)
    afterEach(removeMachines, 30_000)
    afterAll(removeMachines, 30_000)

    const machine = (more: Partial<MachineSpec> = {}): Promise<RunningMachine> =>
      runMachine({ image, files: { "/app/server.mjs": stamping }, ...more })
    const get = async (fetcher: (request: Request) => Promise<Response>): Promise<string> =>
      (await fetcher(new Request("http://app.test/"))).text()

    it("reaches a machine that started this moment", { timeout: 20_000 }, async () => {
      const { id } = await machine({ options: ["--publish", "127.0.0.1::8080", "--env", "NAME=a"] })
      expect(await get(machineFetcher(docker(), machineOf(id)))).toBe("from a")
    })

    it("finds a restarted machine again, at its new port", { timeout: 20_000 }, async () => {
      const provider = docker()
      const { id, docker: command } = await machine({ options: ["--publish", "127.0.0.1::8080", "--env", "NAME=a"] })
      const fetcher = machineFetcher(provider, machineOf(id))
      expect(await get(fetcher)).toBe("from a")
      const before = await provider.resolve(machineOf(id), { port: 3000, signal })
      await command("restart", "--time", "0")
      const after = await provider.resolve(machineOf(id), { port: 3000, signal })
      expect(after.origin).not.toBe(before.origin)
      expect(after.epoch).not.toBe(before.epoch)
      expect(after.upForMs).toBeLessThan(10_000)
      expect(await get(fetcher)).toBe("from a")
    })

    it.each(["bun", "deno"] as const)("starts and reaches a machine from %s", { timeout: 40_000 }, async (runtime) => {
      const { id } = await machine({ start: false, options: ["--publish", "127.0.0.1::8080", "--env", "NAME=a"] })
      const { stdout } = await run(programs[runtime], "docker-main.ts", { args: [id] })
      expect(stdout.trim().split("\n")).toEqual(["MachineNotRunning", "from a"])
    })

    it("wakes a stopped machine once for twenty requests, bodies too", { timeout: 30_000 }, async () => {
      const real = docker()
      const asked = { resolve: 0, start: 0 }
      const provider: MachineProvider = {
        ...real,
        resolve: (...args) => (asked.resolve++, real.resolve(...args)),
        start: (...args) => (asked.start++, real.start!(...args)),
      }
      const { id, docker: command } = await machine({ options: ["--publish", "127.0.0.1::8080", "--env", "NAME=a"] })
      const fetcher = machineFetcher(provider, machineOf(id))
      await get(fetcher)
      await command("stop", "--time", "0")
      Object.assign(asked, { resolve: 0, start: 0 })
      const request = (i: number) =>
        new Request("http://app.test/", i % 2 === 0 ? {} : { method: "POST", body: "a body that waits" })
      const answers = await Promise.all(
        Array.from({ length: 20 }, async (_, i) => {
          const answer = await fetcher(request(i))
          return `${answer.status} ${await answer.text()}`
        }),
      )
      expect(new Set(answers)).toEqual(new Set(["200 from a"]))
      expect(asked.start).toBe(1)
    })

    it("wakes a paused machine", { timeout: 30_000 }, async () => {
      const { id, docker: command } = await machine({ options: ["--publish", "127.0.0.1::8080", "--env", "NAME=a"] })
      const fetcher = machineFetcher(docker(), machineOf(id), { headersTimeoutMs: 500 })
      await get(fetcher)
      await command("pause")
      expect(await get(fetcher)).toBe("from a")
      expect(await docker().status!(machineOf(id), { signal })).toMatchObject({ state: "running" })
    })

    it("tells of changes, and goes on where it was left", { timeout: 30_000 }, async () => {
      const provider = docker()
      const { id, docker: command } = await machine({ start: false })
      const watched: string[] = []
      const watch = async (ends: AbortSignal) => {
        for await (const change of provider.watch!({ signal: ends })) {
          if (change.externalId === id) watched.push(change.state)
        }
      }
      const first = new AbortController()
      const watching = watch(first.signal)
      // Nothing says when the engine listens; a start that is too early would be missed.
      await new Promise((resolve) => setTimeout(resolve, 300))
      await command("start")
      await command("pause")
      await command("unpause")
      await expect.poll(() => watched).toEqual(["running", "suspended", "running"])
      first.abort()
      await watching
      await command("kill")
      const second = new AbortController()
      const again = watch(second.signal)
      await command("rm")
      await expect.poll(() => watched.slice(3)).toEqual(["stopped", "gone"])
      second.abort()
      await again
    })

    it("names the state of a machine that does not run, and starts it", { timeout: 30_000 }, async () => {
      const provider = docker()
      const { id, docker: command } = await machine({ start: false })
      const target = machineOf(id)
      const resolve = () => provider.resolve(target, { port: 3000, signal })
      const status = () => provider.status!(target, { signal })
      await expect(resolve()).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "created" })
      expect(await status()).toEqual({ state: "stopped", detail: "created" })

      await provider.start!(target, { signal })
      await provider.start!(target, { signal })
      expect(await status()).toMatchObject({ state: "running", detail: "running" })

      await command("pause")
      await expect(resolve()).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "paused" })
      expect(await status()).toEqual({ state: "suspended", detail: "paused" })
      await command("unpause")

      await command("kill")
      await expect(resolve()).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "exited" })
      expect(await status()).toEqual({ state: "stopped", detail: "exited" })

      await command("rm")
      await expect(resolve()).rejects.toMatchObject({ _tag: "MachineNotFound" })
      await expect(provider.start!(target, { signal })).rejects.toMatchObject({ _tag: "MachineNotFound" })
      expect(await status()).toEqual({ state: "gone" })
    })

    it("explains a stale endpoint by what became of the machine", { timeout: 30_000 }, async () => {
      const { id, docker: command } = await machine()
      const fetcher = machineFetcher(docker(), machineOf(id), { headersTimeoutMs: 500, wake: false })
      await get(fetcher)
      await command("pause")
      await expect(get(fetcher)).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "paused" })
      await command("unpause")
      await get(fetcher)
      await command("kill")
      await expect(get(fetcher)).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "exited" })
      await command("start")
      expect(await get(fetcher)).toBe("from undefined")
      await command("rm", "--force")
      await expect(get(fetcher)).rejects.toMatchObject({ _tag: "MachineNotFound" })
    })

    it("tells a young machine where nothing listens from an old one", { timeout: 30_000 }, async () => {
      const { id } = await machine({ args: ["-e", "setInterval(() => {}, 1000)"] })
      const young = machineFetcher(docker(), machineOf(id))
      await expect(get(young)).rejects.toMatchObject({ _tag: "MachineStarting" })
      const old = machineFetcher(docker(), machineOf(id), { startupGraceMs: 1 })
      await expect(get(old)).rejects.toMatchObject({ _tag: "PortClosed" })
    })

    it("calls a crash loop starting, and a failed start not running", { timeout: 30_000 }, async () => {
      const looping = await machine({
        args: ["-e", "process.exit(7)"],
        options: ["--restart", "always", "--publish", "127.0.0.1::8080"],
      })
      await expect
        .poll(() => docker().status!(machineOf(looping.id), { signal }), { timeout: 10_000 })
        .toEqual({ state: "starting", detail: "restarting" })
      await looping.remove()

      const taken = createServer().listen(0, "127.0.0.1")
      await once(taken, "listening")
      const { port } = taken.address() as AddressInfo
      const clashing = await machine({ start: false, options: ["--publish", `127.0.0.1:${port}:8080`] })
      await expect(docker().start!(machineOf(clashing.id), { signal })).rejects.toMatchObject({
        _tag: "ProviderUnavailable",
        reason: "HTTP 500",
      })
      expect(await docker().status!(machineOf(clashing.id), { signal })).toEqual({ state: "failed", detail: "created" })
      taken.close()
    })

    it("takes the published port, the container's address or a fixed origin", { timeout: 30_000 }, async () => {
      const { id } = await machine({ options: ["--publish", "8080"] })
      const origin = async (metadata: Machine["metadata"]) =>
        (await docker().resolve(machineOf(id, metadata), { port: 3000, signal })).origin
      expect(await origin({})).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/)
      expect(await origin({ address: "container" })).toMatch(/^http:\/\/172\.\d+\.\d+\.\d+:8080$/)
      expect(await origin({ network: "bridge" })).toMatch(/^http:\/\/172\.\d+\.\d+\.\d+:8080$/)
      expect(await origin({ origin: "https://m.example.com" })).toBe("https://m.example.com")
      await expect(origin({ network: "no-such" })).rejects.toMatchObject({
        _tag: "MachineRecordInvalid",
        field: "network",
      })
      expect(await get(machineFetcher(docker(), machineOf(id, { address: "container" })))).toBe("from undefined")
    })

    it("says that a port which is not published is closed", { timeout: 20_000 }, async () => {
      const { id } = await machine({ options: [] })
      await expect(docker().resolve(machineOf(id), { port: 3000, signal })).rejects.toMatchObject({
        _tag: "PortClosed",
        port: 8080,
      })
    })

    it("refuses a prefix that names several machines", { timeout: 60_000 }, async () => {
      // 17 ids must share one of 16 first characters.
      const ids: string[] = []
      let prefix: string | undefined
      while (prefix === undefined) {
        const { id } = await machine({ start: false, files: {} })
        prefix = ids.some((other) => other[0] === id[0]) ? id[0] : undefined
        ids.push(id)
      }
      await expect(docker().resolve(machineOf(prefix), { port: 3000, signal })).rejects.toMatchObject({
        _tag: "MachineRecordInvalid",
        field: "externalId",
      })
    })
  },
)

describe("docker, without an engine", () => {
  const resolve = (metadata: Machine["metadata"], host = "unix:///no/such.sock", externalId = "abc") =>
    docker({ host, env: {} }).resolve(machineOf(externalId, metadata), { port: 3000, signal })

  it.each([
    ["a socket that is not there", "unix:///no/such.sock", "ENOENT"],
    ["an engine that does not listen", "tcp://127.0.0.1:1", "ECONNREFUSED"],
    ["a kind of host it cannot speak to", "ssh://user@host", "engine failed"],
  ])("is unavailable with %s", async (_, host, reason) => {
    await expect(resolve({}, host)).rejects.toMatchObject({ _tag: "ProviderUnavailable", reason })
  })

  it.each([
    [{ address: "elsewhere" }, "address"],
    [{ network: 1 }, "network"],
    [{ origin: "http://user:secret@host" }, "origin"],
    [{ origin: "http://host/path" }, "origin"],
    [{ origin: "file:///etc/passwd" }, "origin"],
  ])("names the field of %j that is wrong", async (metadata, field) => {
    const failure = await resolve(metadata).catch((error: unknown) => error)
    expect(failure).toMatchObject({ _tag: "MachineRecordInvalid", field })
    expect(String(failure)).not.toContain("secret")
  })

  it.each(["", "../images", "a/b", "a?b", "a b", "."])("never makes a path of the id %j", async (id) => {
    await expect(resolve({}, undefined, id)).rejects.toMatchObject({
      _tag: "MachineRecordInvalid",
      field: "externalId",
    })
  })
})

describe("docker, with an engine that answers from a script", () => {
  let server: Server
  let seen: string[]
  let script: (path: string) => readonly [status: number, body: unknown]
  let folder: string
  let host: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ingress-engine-"))
    server = createServer((request, response) => {
      seen.push(request.url!)
      const [status, body] = script(request.url!)
      response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body))
    }).listen(join(folder, "engine.sock"))
    await once(server, "listening")
    host = `unix://${folder}/engine.sock`
  })
  afterAll(async () => {
    server.close()
    await rm(folder, { recursive: true })
  })

  const running = (more: object = {}) => ({
    Id: "abc",
    State: { Status: "running", Running: true, Paused: false, Restarting: false, StartedAt: "2026-11-20T23:16:47.9Z" },
    HostConfig: { NetworkMode: "bridge" },
    NetworkSettings: { Ports: { "8080/tcp": [{ HostIp: "", HostPort: "32768" }] } },
    ...more,
  })
  const engine = (version: object, answer: readonly [number, unknown]) => {
    seen = []
    script = (path) => (path === "/version" ? [200, version] : answer)
    return docker({ host, env: {} })
  }
  const resolve = (provider: ReturnType<typeof docker>, metadata: Machine["metadata"] = {}) =>
    provider.resolve(machineOf("abc", metadata), { port: 3000, signal })

  it.each([
    ["1.41", "1.12", "1.41"],
    ["1.52", "1.44", "1.52"],
    ["1.54", "1.40", "1.54"],
    ["1.56", "1.40", "1.54"],
  ])("speaks to an engine of %s (from %s) with %s, and asks once", async (ApiVersion, MinAPIVersion, spoken) => {
    const provider = engine({ ApiVersion, MinAPIVersion }, [200, running()])
    await resolve(provider)
    await resolve(provider)
    expect(seen).toEqual(["/version", ...Array(2).fill(`/v${spoken}/containers/abc/json`)])
  })

  it.each([
    ["1.39", "1.12"],
    ["1.70", "1.60"],
  ])("refuses an engine of %s (from %s)", async (ApiVersion, MinAPIVersion) => {
    const provider = engine({ ApiVersion, MinAPIVersion }, [200, running()])
    await expect(resolve(provider)).rejects.toMatchObject({ _tag: "ProviderUnavailable", reason: "API_VERSION" })
  })

  it.each([
    JSON.stringify({ message: "client version 1.54 is too new. Maximum supported API version is 1.41" }),
    "client version 1.41 is too old. Minimum supported API version is 1.44, please upgrade your client",
  ])("asks again when the engine was replaced: %s", async (text) => {
    const provider = engine({ ApiVersion: "1.50", MinAPIVersion: "1.40" }, [200, running()])
    await resolve(provider)
    seen = []
    script = (path) => {
      if (path === "/version") return [200, { ApiVersion: "1.44", MinAPIVersion: "1.40" }]
      return path.startsWith("/v1.44/") ? [200, running()] : [400, text]
    }
    await resolve(provider)
    expect(seen).toEqual(["/v1.50/containers/abc/json", "/version", "/v1.44/containers/abc/json"])
  })

  const version = { ApiVersion: "1.41", MinAPIVersion: "1.12" }
  it.each([
    [404, { message: "No such container: abc" }, { _tag: "MachineNotFound" }],
    [401, "", { _tag: "ProviderAuth" }],
    [403, "", { _tag: "ProviderAuth" }],
    [500, { message: "Multiple IDs found with provided prefix: d" }, { _tag: "MachineRecordInvalid" }],
    [500, { message: "boom" }, { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
    [400, { message: "invalid" }, { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [200, { Id: "abc" }, { _tag: "ProviderUnavailable" }],
  ])("translates %i %j", async (status, body, failure) => {
    await expect(resolve(engine(version, [status, body]))).rejects.toMatchObject(failure)
  })

  it("calls a machine young whose health check is starting", async () => {
    const State = { ...running().State, Health: { Status: "starting" } }
    const resolved = await resolve(engine(version, [200, running({ State })]))
    expect(resolved.upForMs).toBe(0)
  })

  it("unpauses what cannot be started because it is paused", async () => {
    const provider = engine(version, [200, ""])
    script = (path) => {
      if (path === "/version") return [200, version]
      return path.endsWith("/start")
        ? [409, { message: "cannot start a paused container, try unpause instead" }]
        : [204, ""]
    }
    await provider.start!(machineOf("abc"), { signal })
    expect(seen.slice(1)).toEqual(["/v1.41/containers/abc/start", "/v1.41/containers/abc/unpause"])
  })

  const line = (Action: string, timeNano: string, ID = "abc") =>
    `\u001e{"Type":"container","Action":"${Action}","Actor":{"ID":"${ID}","Attributes":{"name":"web"}},"timeNano":${timeNano}}\n`
  const watched = async (provider: MachineProvider) => {
    const changes: MachineChange[] = []
    const failure = await (async () => {
      for await (const change of provider.watch!({ signal })) changes.push(change)
    })().catch((error: unknown) => error)
    return { changes, failure }
  }

  it("reads events by line whatever stands before them, and goes on after the last one", async () => {
    const events =
      line("start", "1763680607123456789") +
      "not json\n\n" +
      line("exec_create: sh", "1763680608000000000") +
      line("die", "1763680609000000001").slice(1)
    const provider = engine(version, [200, events])
    const { changes, failure } = await watched(provider)
    expect(changes).toEqual([
      { externalId: "abc", state: "running" },
      { externalId: "web", state: "running" },
      { externalId: "abc", state: "stopped" },
      { externalId: "web", state: "stopped" },
    ])
    // It ends with an error when the engine ends it: who watches decides whether to go on.
    expect(failure).toMatchObject({ _tag: "ProviderUnavailable", reason: "ECONNRESET" })
    await watched(provider)
    const [, first, second] = seen.map((path) => new URL(path, "http://engine"))
    expect(JSON.parse(first!.searchParams.get("filters")!)).toMatchObject({ type: ["container"] })
    expect(first!.searchParams.get("since")).toBeNull()
    expect(second!.searchParams.get("since")).toBe("1763680609.000000002")
  })

  it.each([
    [403, { _tag: "ProviderAuth" }],
    [500, { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
  ])("does not watch an engine that answers %i", async (status, failure) => {
    expect((await watched(engine(version, [status, ""]))).failure).toMatchObject(failure)
  })

  const published = (...bindings: (readonly [string, string])[]) => ({
    NetworkSettings: { Ports: { "8080/tcp": bindings.map(([HostIp, HostPort]) => ({ HostIp, HostPort })) } },
  })
  it.each([
    [published(["", "1000"]), "http://127.0.0.1:1000"],
    [published(["0.0.0.0", "1000"], ["::", "1000"]), "http://127.0.0.1:1000"],
    [published(["::", "1000"]), "http://127.0.0.1:1000"],
    [published(["::1", "1000"]), "http://[::1]:1000"],
    [published(["192.0.2.1", "1000"]), "http://192.0.2.1:1000"],
    [{ HostConfig: { NetworkMode: "host" }, NetworkSettings: { Ports: {} } }, "http://127.0.0.1:8080"],
  ])("makes an origin of %j", async (more, origin) => {
    expect((await resolve(engine(version, [200, running(more)]))).origin).toBe(origin)
  })

  it("uses the engine's host for a port published everywhere, and none of its own loopback", async () => {
    const remote = createServer((request, response) => server.emit("request", request, response))
    remote.listen(0, "0.0.0.0")
    await once(remote, "listening")
    const { port } = remote.address() as AddressInfo
    const at = (name: string) => docker({ env: { DOCKER_HOST: `tcp://${name}:${port}` } })
    engine(version, [200, running(published(["0.0.0.0", "1000"]))])
    expect((await resolve(at("0.0.0.0"))).origin).toBe("http://0.0.0.0:1000")
    engine(version, [200, running(published(["127.0.0.1", "1000"]))])
    expect((await resolve(at("127.0.0.1"))).origin).toBe("http://127.0.0.1:1000")
    await expect(resolve(at("0.0.0.0"))).rejects.toMatchObject({ _tag: "PortClosed", port: 8080 })
    remote.close()
  })
})
