import { spawn, spawnSync } from "node:child_process"
import type { ChildProcess } from "node:child_process"
import { once } from "node:events"
import { mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { caddySupervision, envoySupervision, superviseFront } from "../../src/supervision.ts"
import type { SuperviseOptions, SupervisedFront, SupervisionEvent } from "../../src/supervision.ts"
import { runningProcess } from "../../src/supervision/running-process.ts"

let folder: string
const fronts: SupervisedFront[] = []
const children: ChildProcess[] = []
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "front-"))))
afterEach(async () => {
  for (const front of fronts.splice(0)) {
    await front.stop()
    await front.dispose()
  }
  for (const child of children.splice(0)) child.kill("SIGKILL")
  await rm(folder, { recursive: true })
})

const fixture = new URL("front.fixture.ts", import.meta.url).pathname

const optionsOf = (
  port: number,
  habits: readonly string[],
  more: Partial<SuperviseOptions> = {},
): SuperviseOptions => ({
  command: process.execPath,
  args: [fixture, String(port), ...habits],
  pidFile: join(folder, "run/front.pid"),
  logFile: join(folder, "front.log"),
  admin: { url: `http://127.0.0.1:${port}`, readyPath: "/ready", stopPath: "/quitquitquit" },
  readyMs: 60_000,
  ...more,
})

const supervise = (options: SuperviseOptions): SupervisedFront => {
  const front = superviseFront(options)
  fronts.push(front)
  return front
}

const noted = async (): Promise<number> =>
  Number((await readFile(join(folder, "run/front.pid"), "utf8")).split("\n")[0])
const isGone = (path: string) =>
  stat(join(folder, path)).then(
    () => false,
    () => true,
  )

describe("a front's process", () => {
  it("goes on without us, and is taken over with the current configuration loaded (4-37)", async () => {
    const port = await freePort()
    const options = optionsOf(port, [])
    const first = supervise(options)
    expect(await first.start()).toBe("started")
    const pid = await noted()
    expect(await first.pid()).toBe(pid)
    await first.dispose()

    const events: SupervisionEvent[] = []
    let loads = 0
    const second = supervise({ ...options, load: async () => void loads++, onEvent: (event) => events.push(event) })
    expect(await second.start()).toBe("adopted")
    expect([loads, await second.pid(), await noted()]).toEqual([1, pid, pid])
    expect(await (await fetch(`http://127.0.0.1:${port}/ready`)).text()).toBe(String(pid))

    expect(await second.stop()).toBe("admin")
    expect(await second.stop()).toBe("not running")
    expect(await isGone("run/front.pid")).toBe(true)
    expect(events).toEqual([
      { type: "adopted", pid },
      { type: "stopped", pid, by: "admin" },
    ])
    expect(await readFile(join(folder, "front.log"), "utf8")).toBe("listening\n")
  })

  it("is stopped with us where that is asked for", async () => {
    const front = supervise(optionsOf(await freePort(), [], { stopOnShutdown: true }))
    await front.start()
    const pid = (await front.pid())!
    await front.dispose()
    expect(await runningProcess(pid)).toBeUndefined()
  })

  it("is killed, and its PID file removed, if it is not ready in time (4-38)", async () => {
    const port = await freePort()
    const log = join(folder, "pids")
    const front = supervise(optionsOf(port, ["never-ready", `log=${log}`], { readyMs: 1_000 }))
    await expect(front.start()).rejects.toMatchObject({ _tag: "FrontNotReady", message: /not ready within 1000 ms/ })
    expect(await isGone("run/front.pid")).toBe(true)
    const started = Number(await readFile(log, "utf8").catch(() => "0"))
    expect(await runningProcess(started)).toBeUndefined()
  })

  it("that ends before it is ready is reported at once, like a program that is not there", async () => {
    const port = await freePort()
    await expect(supervise(optionsOf(port, ["ends"])).start()).rejects.toMatchObject({
      _tag: "FrontNotReady",
      message: /ended/,
    })
    const missing = { ...optionsOf(port, []), command: join(folder, "no-such-program") }
    await expect(supervise(missing).start()).rejects.toMatchObject({ message: /could not be started/ })
    expect(await isGone("run/front.pid")).toBe(true)
  })

  it.each([
    ["the admin API", [], {}, "admin"],
    ["SIGTERM", ["ignores-admin"], { adminMs: 100, termMs: 60_000 }, "SIGTERM"],
    ["SIGKILL", ["ignores-admin", "ignores-term"], { adminMs: 100, termMs: 100 }, "SIGKILL"],
  ])("is stopped by %s (4-39)", async (_, habits, limits, by) => {
    const front = supervise(optionsOf(await freePort(), habits, limits))
    await front.start()
    const pid = (await front.pid())!
    expect(await front.stop()).toBe(by)
    expect(await runningProcess(pid)).toBeUndefined()
  })

  it("counts as stopped when only its parent has not asked how it ended (4-39)", async (ctx) => {
    if (spawnSync("sh", ["-c", "true"]).error) ctx.skip("no sh is installed")
    // The shell becomes a program that asks no child how it ended.
    const parent = spawn("sh", ["-c", "sleep 60 & echo $!; exec sleep 60"], { stdio: ["ignore", "pipe", "ignore"] })
    children.push(parent)
    const pid = Number(String((await once(parent.stdout, "data"))[0]))
    const identity = (await runningProcess(pid))!
    expect(identity.pid).toBe(pid)
    expect(await runningProcess(pid, { platform: "darwin" })).toMatchObject({ pid })
    await writeFile(join(folder, "front.pid"), `${pid}\n${identity.startedAt}\n`)
    const zombie = supervise(optionsOf(1, [], { pidFile: join(folder, "front.pid") }))
    expect(await zombie.pid()).toBe(pid)
    process.kill(pid, "SIGKILL")
    await expect.poll(() => zombie.pid()).toBeUndefined()
    expect(await readFile(`/proc/${pid}/stat`, "utf8").catch(() => "Z")).toContain("Z")
    expect(await zombie.stop()).toBe("not running")
  })

  it("is not taken for another one that has its number by now, which is left alone", async () => {
    const other = spawn(process.execPath, ["-e", "setInterval(() => undefined, 1000)"], { stdio: "ignore" })
    children.push(other)
    await once(other, "spawn")
    for (const startedAt of ["", "1@another"]) {
      const port = await freePort()
      const options = optionsOf(port, [], { pidFile: join(folder, "front.pid") })
      await writeFile(options.pidFile, `${other.pid}\n${startedAt}\n`)
      const front = supervise(options)
      expect(await front.pid()).toBeUndefined()
      expect(await front.start()).toBe("started")
      expect(await front.pid()).not.toBe(other.pid)
      expect(await front.stop()).toBe("admin")
    }
    expect(other.exitCode ?? other.signalCode).toBeNull()
  })

  it("is not started beside another that has its admin API's address", async () => {
    const port = await freePort()
    const first = supervise(optionsOf(port, []))
    await first.start()
    const second = supervise(optionsOf(port, [], { pidFile: join(folder, "second.pid") }))
    await expect(second.start()).rejects.toMatchObject({
      _tag: "AdminInUse",
      message: expect.stringContaining(`${port}`),
    })
    expect(await first.pid()).toBeDefined()
  })

  it("is started again when it ends by itself, with the current configuration loaded, and not when it was stopped", async () => {
    const events: SupervisionEvent[] = []
    let loads = 0
    const front = supervise({
      ...optionsOf(await freePort(), [], { restarts: true, onEvent: (event) => events.push(event) }),
      load: async () => void loads++,
    })
    await front.start()
    expect(loads).toBe(0)
    const first = (await front.pid())!
    process.kill(first, "SIGKILL")
    await expect.poll(() => events.filter(({ type }) => type === "started").length).toBe(2)
    await expect.poll(() => loads).toBe(1)
    const second = (await front.pid())!
    expect(second).not.toBe(first)
    expect(await front.stop()).toBe("admin")
    expect(events.map(({ type }) => type)).toEqual(["started", "ended", "started", "stopped"])
    expect(await front.pid()).toBeUndefined()
  })

  it.each<[object, RegExp]>([
    [{}, /command must be/],
    [{ command: "x", pidFile: "p", admin: { url: "localhost:1", readyPath: "/", stopPath: "/" } }, /admin\.url/],
    [{ command: "x", pidFile: "p", admin: { url: "http://a/b", readyPath: "/", stopPath: "/" } }, /without a path/],
    [{ command: "x", pidfile: "p" }, /did you mean pidFile/],
  ])("has its options checked: %j", (options, message) => {
    expect(() => superviseFront(options as SuperviseOptions)).toThrow(message)
  })
})

describe("presets", () => {
  it("have the files, limits and variables of an ingress manager", () => {
    const envoy = envoySupervision(
      { ENVOY_ADMIN_PORT: "9999", ENVOY_STOP_ON_SHUTDOWN: "true" },
      { folder: "/var/lib/envoy" },
    )
    expect(envoy).toMatchObject({
      command: "envoy",
      pidFile: "/var/lib/envoy/envoy.pid",
      admin: { url: "http://127.0.0.1:9999", stopPath: "/quitquitquit" },
      readyMs: 30_000,
      stopOnShutdown: true,
    })
    const caddy = caddySupervision({ CADDY_ADMIN_ADDRESS: "::" }, { folder: "/var/lib/caddy" })
    expect(caddy).toMatchObject({
      admin: { url: "http://[::1]:2019", stopPath: "/stop" },
      readyMs: 10_000,
      stopOnShutdown: false,
    })
    expect(() => caddySupervision({ CADDY_ADMIN_PORT: "0" }, { folder: "/x" })).toThrow(/1 to 65535/)
    for (const options of [envoy, caddy]) expect(() => superviseFront(options)).not.toThrow()
  })

  it("keep a real Caddy: started, taken over, stopped by its admin API", async (ctx) => {
    if (spawnSync("caddy", ["version"]).error) ctx.skip("no caddy is installed")
    const [adminPort, port] = [await freePort(), await freePort()]
    const document = {
      admin: { listen: `127.0.0.1:${adminPort}`, config: { persist: false } },
      apps: {
        http: {
          servers: {
            test: {
              listen: [`127.0.0.1:${port}`],
              automatic_https: { disable: true },
              routes: [{ handle: [{ handler: "static_response", body: "hello" }] }],
            },
          },
        },
      },
    }
    await writeFile(join(folder, "caddy.json"), JSON.stringify(document))
    const options = caddySupervision({ CADDY_ADMIN_PORT: String(adminPort) }, { folder })
    const env = { ...process.env, HOME: folder, XDG_DATA_HOME: folder, XDG_CONFIG_HOME: folder }
    const first = supervise({ ...options, env, readyMs: 60_000 })
    expect(await first.start()).toBe("started")
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello")
    await first.dispose()
    const second = supervise({ ...options, env, readyMs: 60_000 })
    expect(await second.start()).toBe("adopted")
    await second.restart()
    expect(await (await fetch(`http://127.0.0.1:${port}/`)).text()).toBe("hello")
    expect(await second.stop()).toBe("admin")
  })
})
