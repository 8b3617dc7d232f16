import { execFile } from "node:child_process"
import { createServer } from "node:http"
import type { Server, ServerResponse } from "node:http"
import { once } from "node:events"
import { chmod, mkdtemp, readFile, rm } from "node:fs/promises"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { inspect, promisify } from "node:util"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest"
import { docker } from "../src/adapters/docker/docker.ts"
import type { DockerOptions } from "../src/adapters/docker/docker.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine, MachineChange, MachineProvider } from "../src/contract/machine-provider.ts"
import { runProxiedMachine } from "./docker-machine.ts"
import { engineMissing, hasIPv6, importNodeImage, makeNetwork, removeMachines, runMachine } from "./engine.ts"
import type { MachineSpec, RunningMachine } from "./engine.ts"
import { programs, run } from "./runtimes.ts"

const missing = await engineMissing()
const signal = new AbortController().signal

// Stands for the machine's proxy: answers, stamped, on 8080.
const stamping = `
import { execFile } from "node:child_process"
import { createServer } from "node:http"
createServer((request, response) => {
  if (request.url === "/never") return console.log("asked")
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
      expect(after.uptimeMs).toBeLessThan(10_000)
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
      const heard = new Set<string>()
      const watch = async (ends: AbortSignal) => {
        for await (const change of provider.watch!({ signal: ends })) {
          heard.add(change.externalId)
          if (change.externalId === id) watched.push(change.state)
        }
      }
      const first = new AbortController()
      const watching = watch(first.signal)
      // Nothing says when the engine listens, so something happens until it was heard.
      while (heard.size === 0) await (await machine({ start: false, files: {} })).remove()
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
      const { uptimeMs: _, ...started } = (await provider.start!(target, { signal })) ?? {}
      expect(await resolve()).toMatchObject(started)
      expect(started).toHaveProperty("origin")
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
      // That it was not running is kept for a second.
      await expect.poll(() => get(fetcher).catch(String), { timeout: 10_000 }).toBe("from undefined")
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
      const resolving = async () => {
        const asked = docker().resolve(machineOf(looping.id), { port: 3000, signal })
        return asked.catch(({ _tag }: { readonly _tag: string }) => _tag)
      }
      // Between two crashes it runs for a moment.
      await expect.poll(resolving, { timeout: 10_000 }).toBe("MachineStarting")
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

    it("takes the address in the network that its record names", { timeout: 30_000 }, async () => {
      const [first, second] = [await makeNetwork(), await makeNetwork()]
      const { id, docker: command } = await machine({ options: ["--network", first, "--env", "NAME=a"] })
      const reach = (metadata: Machine["metadata"]) => get(machineFetcher(docker(), machineOf(id, metadata)))
      const address = async (network: string): Promise<string> =>
        (await command("inspect", "--format", `{{(index .NetworkSettings.Networks "${network}").IPAddress}}`)).trim()
      const origin = async (metadata: Machine["metadata"]) =>
        (await docker().resolve(machineOf(id, metadata), { port: 3000, signal })).origin
      expect(await origin({ address: "container" })).toBe(`http://${await address(first)}:8080`)
      expect(await reach({ address: "container" })).toBe("from a")

      await command("network", "connect", second)
      await expect(origin({ address: "container" })).rejects.toMatchObject({
        _tag: "MachineRecordInvalid",
        field: "network",
      })
      expect(await origin({ network: first })).toBe(`http://${await address(first)}:8080`)
      expect(await origin({ network: second })).toBe(`http://${await address(second)}:8080`)
      expect(await address(second)).not.toBe(await address(first))
      expect([await reach({ network: first }), await reach({ network: second })]).toEqual(["from a", "from a"])
    })

    it("keeps a machine whose network is gone apart from one that is gone", { timeout: 20_000 }, async () => {
      const network = await makeNetwork()
      const { id, docker: command } = await machine({ start: false, options: ["--network", network] })
      await promisify(execFile)("docker", ["network", "rm", network])
      // dockerd: 404 "network … not found".
      await expect(docker().start!(machineOf(id), { signal })).rejects.toMatchObject({
        _tag: "ProviderUnavailable",
        reason: "HTTP 404",
      })
      await command("rm")
      await expect(docker().start!(machineOf(id), { signal })).rejects.toMatchObject({ _tag: "MachineNotFound" })
    })

    it.for([
      ["[::1]::8080", /^http:\/\/\[::1\]:\d+$/],
      ["[::]::8080", /^http:\/\/\[::1\]:\d+$/],
      // Two ports, one in each family, and not the same ones.
      ["8080", /^http:\/\/127\.0\.0\.1:\d+$/],
    ] as const)("reaches what is published as %s", { timeout: 20_000 }, async ([publish, origin], ctx) => {
      if (publish.startsWith("[") && !(await hasIPv6())) ctx.skip("no IPv6 loopback here")
      const { id } = await machine({ options: ["--publish", publish, "--env", "NAME=a"] })
      expect((await docker().resolve(machineOf(id), { port: 3000, signal })).origin).toMatch(origin)
      expect(await get(machineFetcher(docker(), machineOf(id)))).toBe("from a")
    })

    it("takes a health check for a hint, never for a gate", { timeout: 30_000 }, async () => {
      const checked = (interval: string) =>
        machine({
          // There is no shell in the image, so that the check fails.
          options: ["--health-cmd", "true", "--health-retries", "1", "--health-interval", interval].concat(
            ["--publish", "127.0.0.1::8080"],
            ["--env", "NAME=a"],
          ),
        })
      const { id: starting } = await checked("1h")
      expect(await docker().status!(machineOf(starting), { signal })).toMatchObject({ state: "running", uptimeMs: 0 })
      expect(await get(machineFetcher(docker(), machineOf(starting)))).toBe("from a")

      const { id: ill, docker: command } = await checked("50ms")
      await expect
        .poll(() => command("inspect", "--format", "{{.State.Health.Status}}"), { timeout: 10_000 })
        .toBe("unhealthy")
      const { state, uptimeMs } = await docker().status!(machineOf(ill), { signal })
      expect(state).toBe("running")
      expect(uptimeMs).toBeGreaterThan(0)
      expect(await get(machineFetcher(docker(), machineOf(ill)))).toBe("from a")
    })

    it.each([
      [
        "stopped",
        ({ docker }: RunningMachine) => docker("stop", "--time", "0"),
        { _tag: "MachineNotRunning", state: "exited" },
      ],
      ["removed", ({ remove }: RunningMachine) => remove(), { _tag: "MachineNotFound" }],
    ])("fails a request whose machine is %s meanwhile", { timeout: 20_000 }, async (_, end, failure) => {
      const asked = await machine()
      const fetcher = machineFetcher(docker(), machineOf(asked.id), { wake: false })
      const answer = fetcher(new Request("http://app.test/never")).catch((error: unknown) => error)
      await expect.poll(() => asked.docker("logs"), { timeout: 10_000 }).toBe("asked")
      await end(asked)
      expect(await answer).toMatchObject(failure)
    })

    it("never gives another machine's answer at an address that was given away", { timeout: 60_000 }, async () => {
      const { signing } = await generateTicketKeys("test")
      const first = await runProxiedMachine("mach_1", {
        image,
        key: await machineKey(signing, "mach_1"),
        publish: "127.0.0.1::8080",
      })
      const real = docker()
      let resolved = 0
      const provider: MachineProvider = {
        ...real,
        async resolve(...args) {
          resolved++
          // The old endpoint is the one that is used, however long this test takes.
          return { ...(await real.resolve(...args)), ttlMs: 3_600_000 }
        },
      }
      const fetcher = (wake: boolean) => machineFetcher(provider, machineOf(first.id), { signingKey: signing, wake })
      const [asleep, posting, waking, refreshing] = [fetcher(false), fetcher(false), fetcher(true), fetcher(false)]
      for (const each of [asleep, posting, waking, refreshing]) expect(await get(each)).toBe("from mach_1")

      const port = /:(\d+)$/.exec(await first.docker("port"))![1]!
      await first.docker("stop", "--time", "0")
      const second = await runProxiedMachine("mach_2", {
        image,
        key: await machineKey(signing, "mach_2"),
        publish: `127.0.0.1:${port}:8080`,
      })
      const other = { ...machineOf(second.id), id: "mach_2" }
      const toSecond = machineFetcher(real, other, { signingKey: signing })
      expect(await get(toSecond)).toBe("from mach_2")

      // Each goes where the machine was. The other one's proxy refuses it, and its app is not asked.
      const before = resolved
      const logged = ["app /", "proxy 200"]
      await expect.poll(second.logged).toEqual(logged)
      const refusedOnceMore = () => expect.poll(second.logged).toEqual((logged.push("proxy 421"), logged))
      await expect(get(asleep)).rejects.toMatchObject({ _tag: "MachineNotRunning", state: "exited" })
      await refusedOnceMore()
      expect(resolved - before).toBe(1)
      // A body that was begun is not sent again.
      const posted = posting(new Request("http://app.test/", { method: "POST", body: "for mach_1 alone" }))
      await expect(posted).rejects.toMatchObject({ _tag: "MachineMismatch" })
      await refusedOnceMore()
      expect(await get(waking)).toBe("from mach_1")
      await refusedOnceMore()
      expect(await get(refreshing)).toBe("from mach_1")
      await refusedOnceMore()

      // Both have addresses of their own by now; that the first was not running is kept for a second.
      await expect.poll(() => get(asleep).catch(String), { timeout: 10_000 }).toBe("from mach_1")
      expect(await get(posting)).toBe("from mach_1")
      expect(await get(toSecond)).toBe("from mach_2")
      await expect.poll(second.logged).toEqual([...logged, "app /", "proxy 200"])
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
  ])("is unavailable with %s", async (_, host, reason) => {
    await expect(resolve({}, host)).rejects.toMatchObject({ _tag: "ProviderUnavailable", reason })
  })

  const accepted = "must be unix:///path or tcp://host:port; ssh:// and npipe:// are not supported"
  it.each([
    "ssh://user:secret@host",
    "npipe:////./pipe/docker_engine",
    "fd://",
    "/var/run/docker.sock",
    "unix:/var/run/docker.sock",
    "unix://",
    "unix:///",
    "unix://docker.sock",
    "unix://./docker.sock",
    "tcp://",
    "tcp://:2375",
    "tcp://user:secret@host:2375",
    "tcp://host:2375/v1.41",
    "tcp://host:2375?x=secret",
    "tcp://host:65536",
    "tcp://::1:2375",
    "tcp://[::1:2375",
    "host:2375",
  ])("refuses the host %s", async (host) => {
    expect(() => docker({ host })).toThrow(new TypeError(`docker: host ${accepted}, got a string`))
    const env = { DOCKER_HOST: host }
    await expect(docker({ env }).status!(machineOf("abc"), { signal })).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: `DOCKER_HOST ${accepted}`,
    })
    await expect(docker({ env }).watch!({ signal })[Symbol.asyncIterator]().next()).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: `DOCKER_HOST ${accepted}`,
    })
  })

  it("takes an empty DOCKER_HOST for none, and an empty option for a mistake", async () => {
    const said = (provider: MachineProvider) =>
      provider.status!(machineOf("no-such-machine"), { signal }).catch(({ _tag, reason }) => ({ _tag, reason }))
    const atDefault = await said(docker({ host: "unix:///var/run/docker.sock" }))
    expect(await said(docker({ env: { DOCKER_HOST: "" } }))).toEqual(atDefault)
    expect(await said(docker({ env: {} }))).toEqual(atDefault)
    expect(() => docker({ host: "" })).toThrow(TypeError)
  })

  const certificate = "-----BEGIN CERTIFICATE-----\nc2VjcmV0\n-----END CERTIFICATE-----\n"
  it.each([
    [{ ca: "" }, "docker: tls.ca must be the PEM text of a certificate, got an empty string"],
    [{ cert: certificate, key: "secret" }, "docker: tls.key must be the PEM text of a private key, got a string"],
    [{ cert: "secret", key: certificate }, "docker: tls.cert must be the PEM text of a certificate, got a string"],
    [{ cert: certificate }, "docker: tls.cert and tls.key must be given together"],
  ])("refuses the certificates %j", (tls, message) => {
    expect(() => docker({ host: "tcp://127.0.0.1:1", tls })).toThrow(new TypeError(message))
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
  // Answers instead of the script, but for the version.
  let endless: ((response: ServerResponse) => void) | undefined
  let folder: string
  let host: string

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), "ingress-engine-"))
    server = createServer((request, response) => {
      seen.push(request.url!)
      if (endless !== undefined && request.url !== "/version") return endless(response)
      const [status, body] = script(request.url!)
      return response.writeHead(status).end(typeof body === "string" ? body : JSON.stringify(body))
    }).listen(join(folder, "engine.sock"))
    await once(server, "listening")
    host = `unix://${folder}/engine.sock`
  })
  afterEach(() => {
    endless = undefined
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
    // vendors.md 6: Docker 29 raised its minimum.
    ["1.54", "1.44", "1.54"],
    ["1.56", "1.44", "1.56"],
    ["1.60", "1.44", "1.56"],
  ])("speaks to an engine of %s (from %s) with %s, and asks once", async (ApiVersion, MinAPIVersion, spoken) => {
    const provider = engine({ ApiVersion, MinAPIVersion }, [200, running()])
    await resolve(provider)
    await resolve(provider)
    expect(seen).toEqual(["/version", ...Array(2).fill(`/v${spoken}/containers/abc/json`)])
  })

  it.each([
    ["1.39", "1.12"],
    ["1.70", "1.60"],
  ])(
    "vendors.md 6: refuses an engine of %s (from %s), and names the range that the documents name",
    async (ApiVersion, MinAPIVersion) => {
      const provider = engine({ ApiVersion, MinAPIVersion }, [200, running()])
      const refused = await resolve(provider).catch((error: unknown) => error)
      expect(refused).toMatchObject({ _tag: "ProviderUnavailable", reason: "API_VERSION" })
      const range = /\d\.\d+ to \d\.\d+/.exec(inspect(refused))![0]
      for (const file of ["../README.md", "../src/adapters/docker/docker.ts"]) {
        expect(await readFile(new URL(file, import.meta.url), "utf8")).toContain(`API ${range}`)
      }
    },
  )

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
    [404, "<h1>not an engine</h1>", { _tag: "ProviderUnavailable", reason: "HTTP 404" }],
    [401, "", { _tag: "ProviderAuth" }],
    [403, "", { _tag: "ProviderAuth" }],
    [500, { message: "Multiple IDs found with provided prefix: d" }, { _tag: "MachineRecordInvalid" }],
    [500, { message: "boom" }, { _tag: "ProviderUnavailable", reason: "HTTP 500" }],
    [400, { message: "invalid" }, { _tag: "ProviderUnavailable", reason: "HTTP 400" }],
    [200, { Id: "abc" }, { _tag: "ProviderUnavailable", reason: "invalid response" }],
    [200, "null", { _tag: "ProviderUnavailable", reason: "invalid response" }],
    [200, "", { _tag: "ProviderUnavailable", reason: "invalid response" }],
    [204, "", { _tag: "ProviderUnavailable", reason: "invalid response" }],
    [304, "", { _tag: "ProviderUnavailable", reason: "invalid response" }],
    [301, "", { _tag: "ProviderUnavailable", reason: "HTTP 301" }],
  ])("translates %i %j", async (status, body, failure) => {
    await expect(resolve(engine(version, [status, body]))).rejects.toMatchObject(failure)
  })

  it.each([
    ["a container", "/json"],
    ["its version", "/version"],
  ])("does not understand nonsense about %s, and does not repeat it", async (_, path) => {
    // As a container's environment would be, in an answer that was cut off.
    const nonsense = `{"Env":["TOKEN=c4n4ry`
    const provider = engine(version, [200, running()])
    const before = script
    script = (asked) => (asked.endsWith(path) ? [200, nonsense] : before(asked))
    const failure = await resolve(provider).catch((error: unknown) => error)
    expect(failure).toMatchObject({ _tag: "ProviderUnavailable", reason: "invalid response" })
    expect(inspect(failure, { depth: Infinity, showHidden: true })).not.toContain("c4n4ry")
  })

  it.each(["", "null", "[]", `"1.41"`, `{"ApiVersion":"one"}`, "<h1>not an engine</h1>"])(
    "does not take %j for the version of an engine",
    async (body) => {
      const provider = engine(version, [200, running()])
      script = () => [200, body]
      const failure = { _tag: "ProviderUnavailable", reason: "invalid response" }
      await expect(resolve(provider)).rejects.toMatchObject(failure)
      expect((await watched(provider)).failure).toMatchObject(failure)
    },
  )

  it("starts a machine whatever the engine says about it beside the status", async () => {
    const provider = engine(version, [200, "started"])
    expect(await provider.start!(machineOf("abc"), { signal })).toBeUndefined()
    expect(seen.slice(1)).toEqual(["/v1.41/containers/abc/start", "/v1.41/containers/abc/json"])
  })

  it.each([
    ["answer", (provider: MachineProvider) => resolve(provider)],
    ["event", async (provider: MachineProvider) => Promise.reject((await watched(provider)).failure)],
  ])("gives an %s up that does not end", async (_, ask) => {
    const closed = new Promise<void>((resolve) => {
      endless = (response) => {
        const more = () => {
          while (response.write("x".repeat(65_536)));
        }
        response.on("drain", more).on("close", resolve)
        more()
      }
    })
    await expect(ask(engine(version, [200, ""]))).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "response too large",
    })
    await closed
  })

  it("is unavailable when an answer breaks off", async () => {
    endless = (response) => {
      response.write(`{"Id":`, () => response.destroy())
    }
    await expect(resolve(engine(version, [200, ""]))).rejects.toMatchObject({
      _tag: "ProviderUnavailable",
      reason: "ECONNRESET",
    })
  })

  it("is refused where it has no right to the socket", async () => {
    const path = join(folder, "closed.sock")
    const closed = createServer().listen(path)
    await once(closed, "listening")
    await chmod(path, 0)
    // Root has every right, so it becomes somebody else when all is loaded.
    const script = `
      import { docker } from ${JSON.stringify(new URL("../src/adapters/docker/docker.ts", import.meta.url).href)}
      const provider = docker({ host: ${JSON.stringify(`unix://${path}`)} })
      if (process.getuid() === 0) process.setuid(65534)
      const { signal } = new AbortController()
      const told = await provider.status({ type: "docker", externalId: "abc", metadata: {} }, { signal }).catch(String)
      console.log(told)
    `
    const args = ["--conditions=@project-ingress/source", "--input-type=module", "--eval", script]
    const { stdout } = await promisify(execFile)(process.execPath, args)
    expect(stdout).toContain("ProviderAuth: ")
    closed.close()
  })

  it("takes a socket's path as it stands", async () => {
    const path = join(folder, "a b%20c?d#é.sock")
    const odd = createServer((request, response) => server.emit("request", request, response)).listen(path)
    await once(odd, "listening")
    engine(version, [200, running()])
    expect((await resolve(docker({ host: `unix://${path}` }))).origin).toBe("http://127.0.0.1:32768")
    odd.close()
  })

  it("calls a machine young whose health check is starting", async () => {
    const State = { ...running().State, Health: { Status: "starting" } }
    const resolved = await resolve(engine(version, [200, running({ State })]))
    expect(resolved.uptimeMs).toBe(0)
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
    const asked = ["start", "unpause", "json"].map((verb) => `/v1.41/containers/abc/${verb}`)
    expect(seen.slice(1)).toEqual(asked)
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
    [published(["0.0.0.0", "1000"], ["::", "1001"]), "http://127.0.0.1:1000"],
    // dockerd listens on IPv6 alone then.
    [published(["::", "1000"]), "http://[::1]:1000"],
    [published(["::1", "1000"]), "http://[::1]:1000"],
    [published(["192.0.2.1", "1000"]), "http://192.0.2.1:1000"],
    [{ HostConfig: { NetworkMode: "host" }, NetworkSettings: { Ports: {} } }, "http://127.0.0.1:8080"],
  ])("makes an origin of %j", async (more, origin) => {
    expect((await resolve(engine(version, [200, running(more)]))).origin).toBe(origin)
  })

  it("makes https origins of a machine whose key is pinned, however it is reached", async () => {
    const pin = `sha256//${"A".repeat(43)}=`
    const all = { ...published(["", "1000"]).NetworkSettings, Networks: { own: { IPAddress: "172.17.0.2" } } }
    const at = (metadata: Machine["metadata"], more: object = { NetworkSettings: all }) =>
      resolve(engine(version, [200, running(more)]), { ...metadata, pin })
    expect(await at({})).toMatchObject({ origin: "https://127.0.0.1:1000", pin })
    expect(await at({ address: "container" })).toMatchObject({ origin: "https://172.17.0.2:8080", pin })
    expect(await at({}, { HostConfig: { NetworkMode: "host" } })).toMatchObject({
      origin: "https://127.0.0.1:8080",
      pin,
    })
    expect(await at({ origin: "https://m.example.com" })).toMatchObject({ origin: "https://m.example.com", pin })
    const wrong = resolve(engine(version, [200, running()]), { pin: "sha256/AAAA" })
    await expect(wrong).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field: "pin" })
  })

  const inNetwork = (IPAddress: string) => running({ NetworkSettings: { Networks: { own: { IPAddress } } } })
  const containerAddress = (IPAddress: string, allowCidrs?: readonly string[]) => {
    engine(version, [200, inNetwork(IPAddress)])
    const options = allowCidrs === undefined ? {} : { allowCidrs }
    return resolve(docker({ host, env: {}, ...options }), { address: "container" })
  }
  it.each([
    ["172.17.0.2", undefined],
    ["10.0.0.2", undefined],
    ["192.168.1.2", undefined],
    ["8.8.8.8", undefined],
    ["100.64.0.2", ["100.64.0.0/10"]],
  ])("connects to a container at its own address %s (allowCidrs %j)", async (address, allowCidrs) => {
    expect((await containerAddress(address, allowCidrs)).origin).toBe(`http://${address}:8080`)
  })

  it.each([
    ["169.254.169.254", undefined],
    ["100.100.100.200", undefined],
    ["224.0.0.1", undefined],
    ["0.0.0.0", undefined],
    ["0x7f000001", []],
    ["172.17.0.2", []],
    ["127.0.0.1", ["172.17.0.0/16"]],
    ["example.com", undefined],
    ["999.1.1.1", undefined],
  ])("refuses a container at the address %s (allowCidrs %j)", async (address, allowCidrs) => {
    await expect(containerAddress(address, allowCidrs)).rejects.toMatchObject({
      _tag: "MachineRecordInvalid",
      field: "network",
    })
  })

  const atOrigin = (origin: string, options: Pick<DockerOptions, "allowCidrs" | "allowHosts"> = {}) => {
    engine(version, [200, running()])
    return resolve(docker({ host, env: {}, ...options }), { origin })
  }
  it.each(["http://172.17.0.2:8080", "http://[::1]:8080", "https://m.example.com"])(
    "takes a record's origin %s, with the rule for the addresses of a name",
    async (origin) => {
      const addresses = { allowCidrs: expect.arrayContaining(["10.0.0.0/8"]) as unknown }
      expect(await atOrigin(origin)).toMatchObject({ origin, addresses })
    },
  )

  it.each([
    ["http://169.254.169.254", {}],
    ["http://0xa9fea9fe", {}],
    ["http://[fd00:ec2::254]", {}],
    ["http://172.17.0.2:8080", { allowCidrs: [] }],
    ["http://m.example.com", { allowHosts: ["*.example.net"] }],
  ])("refuses a record's origin %s with %j", async (origin, options) => {
    await expect(atOrigin(origin, options)).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field: "origin" })
  })

  const everywhere = [["0.0.0.0", "1000"] as const, ["::", "1001"] as const] as const
  const local = [["127.0.0.1", "1000"] as const, ["::1", "1001"] as const] as const
  /** Serves the script over TCP, and gives where a machine is with an engine of that name. */
  const remotely = async (address: string) => {
    const remote = createServer((request, response) => server.emit("request", request, response)).listen(0, address)
    await once(remote, "listening")
    const { port } = remote.address() as AddressInfo
    const origin = (name: string, ...bindings: (readonly [string, string])[]) => {
      engine(version, [200, running(published(...bindings))])
      return resolve(docker({ env: { DOCKER_HOST: `tcp://${name}:${port}` } })).then(
        (endpoint) => endpoint.origin,
        (error: { readonly _tag: string }) => error._tag,
      )
    }
    return { origin, close: () => remote.close() }
  }

  it("finds published ports where an engine behind TCP is", async () => {
    const { origin, close } = await remotely("0.0.0.0")
    expect(await origin("localhost", ...everywhere)).toBe("http://localhost:1000")
    expect(await origin("localhost", everywhere[1])).toBe("http://localhost:1001")
    expect(await origin("127.0.0.1", ...everywhere)).toBe("http://127.0.0.1:1000")
    expect(await origin("127.0.0.1", everywhere[1])).toBe("http://[::1]:1001")
    expect(await origin("127.0.0.1", ...local)).toBe("http://127.0.0.1:1000")
    // An address that is nobody's loopback, and leads here all the same.
    expect(await origin("0.0.0.0", ...everywhere)).toBe("http://0.0.0.0:1000")
    expect(await origin("0.0.0.0", everywhere[1])).toBe("PortClosed")
    expect(await origin("0.0.0.0", ...local)).toBe("PortClosed")
    expect(await origin("0.0.0.0", ...local, ["192.0.2.1", "1002"])).toBe("http://192.0.2.1:1002")
    close()
  })

  it("finds published ports where an engine behind IPv6 is", async (ctx) => {
    if (!(await hasIPv6())) ctx.skip("no IPv6 loopback here")
    const { origin, close } = await remotely("::")
    expect(await origin("[::1]", everywhere[0])).toBe("http://127.0.0.1:1000")
    expect(await origin("[::1]", everywhere[1])).toBe("http://[::1]:1001")
    expect(await origin("[::1]", local[1])).toBe("http://[::1]:1001")
    expect(await origin("[::]", ...everywhere)).toBe("http://[::]:1001")
    expect(await origin("[::]", everywhere[0])).toBe("PortClosed")
    close()
  })
})
