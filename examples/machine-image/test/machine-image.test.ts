import { execFile } from "node:child_process"
import { rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { setTimeout } from "node:timers/promises"
import { promisify } from "node:util"
import { generateTicketKeys, machineKey, signTicket } from "@project-ingress/forward"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { engineMissing, removeMachines, runMachine } from "../../../packages/providers/test/engine.ts"
import type { RunningMachine } from "../../../packages/providers/test/engine.ts"
import { baseMissing, buildImage, makeBase } from "./image.ts"
import { everything, onlyInAll } from "../../../test/requirements.ts"

const machineId = "mach_image"
const { signing } = await generateTicketKeys("2026-11")

let why = (await engineMissing()) ?? (await baseMissing())
let image: Awaited<ReturnType<typeof buildImage>> | undefined
let machine: RunningMachine | undefined
let origin: string

beforeEach(({ skip }) => {
  if (why !== undefined) skip(why)
})

beforeAll(async () => {
  if (why !== undefined) return
  // What this computer lacks for a base (a network, packages) is a reason to skip; that our own image cannot be built is a failure.
  const base = await makeBase().catch((error: unknown) => {
    why = `no base image can be made: ${String(error).split("\n")[0]}`
  })
  if (base !== undefined) image = await buildImage(base)
}, 600_000)

afterAll(async () => {
  if (image === undefined) return
  await removeMachines()
  await image.remove()
})

/** Runs the image as its README says. */
const start = async (
  environment: Readonly<Record<string, string>>,
  more: readonly string[] = [],
): Promise<RunningMachine> => {
  const variables = Object.entries(environment).flatMap(([name, value]) => ["--env", `${name}=${value}`])
  const options = ["--publish", "127.0.0.1::8080", "--health-interval", "500ms", ...variables, ...more]
  return runMachine({ image: image!.name, options })
}

/** The first value that passes, at most 60 s from now: a busy computer takes long to start a container. Rejects with the last one. */
const eventually = async <A>(read: () => Promise<A>, passes: (value: A) => boolean): Promise<A> => {
  const deadline = performance.now() + 60_000
  for (;;) {
    const value = await read().catch((error: unknown) => error)
    if (!(value instanceof Error) && passes(value as A)) return value as A
    if (performance.now() > deadline) throw new Error(`still ${String(value)} after 60 s`)
    await setTimeout(50)
  }
}

interface Reply {
  readonly status: number
  readonly code: string | null
  readonly body: string
}

const ask = async (target: string, path = "/", headers: Readonly<Record<string, string>> = {}): Promise<Reply> => {
  const [, port = "3000", name = ""] = /^(?:(\d+)__)?(.*)$/.exec(target) ?? []
  const ticket = await signTicket(signing, { machine: machineId, port: Number(port), name })
  const hop = { "x-iterate-proxy-target-host": target, "x-iterate-proxy-ticket": ticket, ...headers }
  const response = await fetch(`${origin}${path}`, { headers: hop, signal: AbortSignal.timeout(60_000) })
  return { status: response.status, code: response.headers.get("x-iterate-proxy-error"), body: await response.text() }
}

const app = "misha.example.com"
const isUp = ({ status }: Reply): boolean => status === 200

/** Process ids inside the container, by what their command line ends with. */
const pidOf = async (ending: string): Promise<string> => {
  const list = await docker(
    "exec",
    running().id,
    "sh",
    "-c",
    "for p in /proc/[0-9]*; do echo ${p#/proc/} $(tr '\\0' ' ' < $p/cmdline); done",
  )
  const found = list.split("\n").find((line) => line.trimEnd().endsWith(ending))
  if (found === undefined) throw new Error(`no process ${ending} in\n${list}`)
  return found.split(" ")[0]!
}

const running = (): RunningMachine => {
  if (machine === undefined) throw new Error("no machine was started")
  return machine
}
const docker = async (...args: string[]): Promise<string> => (await promisify(execFile)("docker", args)).stdout.trim()
const kill = (pid: string): Promise<string> => docker("exec", running().id, "sh", "-c", `kill -9 ${pid}`)
const inspect = (format: string): Promise<string> => running().docker("inspect", "--format", format)

describe.skipIf(!everything)(`a machine with a tunnel${onlyInAll}`, () => {
  const fake = join(tmpdir(), `project-ingress-cloudflared-${process.pid}`)
  beforeEach(() => writeFile(fake, "#!/bin/sh\nwhile :; do sleep 1; done\n", { mode: 0o755 }))
  afterEach(async () => {
    if (image !== undefined) await machine?.remove()
    await rm(fake, { force: true })
  })

  it("runs cloudflared with the token, which nothing else gets, and starts it again", async () => {
    const keys = JSON.stringify({ keys: [await machineKey(signing, machineId)] })
    const environment = { INGRESS_MACHINE: machineId, INGRESS_TICKET_KEYS: keys, TUNNEL_TOKEN: "canary-token" }
    machine = await start(environment, ["--volume", `${fake}:/usr/local/bin/cloudflared:ro`])
    const tunnel = (): Promise<string> => pidOf("cloudflared tunnel --no-autoupdate run")
    const environmentOf = (pid: string): Promise<string> => docker("exec", running().id, "cat", `/proc/${pid}/environ`)
    const first = await eventually(tunnel, (pid) => pid !== "")
    const mine = await environmentOf(first)
    expect([mine.includes("TUNNEL_TOKEN=canary-token"), mine.includes("INGRESS_TICKET_KEYS")]).toEqual([true, false])
    for (const program of ["node server.mjs", "project-ingress-machine-proxy"]) {
      expect(
        await environmentOf(
          await eventually(
            () => pidOf(program),
            (pid) => pid !== "",
          ),
        ),
      ).not.toContain("canary-token")
    }
    await kill(first)
    await eventually(tunnel, (pid) => pid !== first)
  }, 180_000)
})

describe.skipIf(!everything)(`a machine made of the image${onlyInAll}`, () => {
  beforeEach(async () => {
    machine = undefined
    const keys = [await machineKey(signing, machineId)]
    machine = await start({ INGRESS_MACHINE: machineId, INGRESS_TICKET_KEYS: JSON.stringify({ keys }) })
    const [, address] = (await running().docker("port")).split(" -> ")
    origin = `http://${address}`
    await eventually(() => ask(app), isUp)
  })
  afterEach(async () => {
    if (image !== undefined) await machine?.remove()
  })

  it("serves the app on its default port and on every other one, to a ticket", async () => {
    expect(JSON.parse((await ask(app)).body)).toMatchObject({ port: 3000 })
    expect(JSON.parse((await ask(`4096__${app}`)).body)).toMatchObject({ port: 4096 })
    expect(await ask(`5000__${app}`)).toMatchObject({ status: 502, code: "PORT_CLOSED" })
  })

  it("serves nothing without a ticket, or with one for another machine", async () => {
    const other = await signTicket(signing, { machine: "mach_other", port: 3000, name: app })
    const bare = await fetch(origin, { headers: { "x-iterate-proxy-target-host": app } })
    expect([bare.status, await bare.json()]).toMatchObject([401, { error: "TICKET_REQUIRED" }])
    expect(await ask(app, "/", { "x-iterate-proxy-ticket": other })).toMatchObject({ status: 421 })
  })

  it("runs as a user that is not root, and turns healthy", async () => {
    expect(await docker("exec", running().id, "id", "-un")).toBe("node")
    const [, ...users] = (await docker("top", running().id, "-o", "uid,pid")).split("\n")
    expect(new Set(users.map((line) => line.trim().split(" ")[0]))).toEqual(new Set(["1000"]))
    await eventually(
      () => inspect("{{.State.Health.Status}}"),
      (status) => status === "healthy",
    )
  })

  it("keeps the ticket keys from the app", async () => {
    const environment = await docker("exec", running().id, "cat", `/proc/${await pidOf("node server.mjs")}/environ`)
    expect(environment).toContain(`INGRESS_MACHINE=${machineId}`)
    expect(environment).not.toContain("INGRESS_TICKET_KEYS")
  })

  it("starts a killed proxy again", async () => {
    const before = await pidOf("project-ingress-machine-proxy")
    await kill(before)
    await eventually(() => ask(app), isUp)
    expect(await pidOf("project-ingress-machine-proxy")).not.toBe(before)
    expect(await inspect("{{.RestartCount}} {{.State.Running}}")).toBe("0 true")
  })

  it("answers 502 PORT_CLOSED while a killed app is away, and is back by itself", async () => {
    const before = await pidOf("node server.mjs")
    const proxy = await pidOf("project-ingress-machine-proxy")
    // Twice: the supervisor waits a second before it starts a program again that died within its first.
    await kill(before)
    const second = await eventually(
      () => pidOf("node server.mjs"),
      (pid) => pid !== before,
    )
    await kill(second)
    await eventually(
      () => ask(app),
      ({ status, code }) => status === 502 && code === "PORT_CLOSED",
    )
    await eventually(() => ask(app), isUp)
    expect(await pidOf("project-ingress-machine-proxy")).toBe(proxy)
  })

  it("finishes the in-flight request before it stops, takes no new one, and exits 0 within Docker's grace", async () => {
    // On a port that nobody asked before: a connection there is this request's, and it has arrived.
    const slow = ask(`4096__${app}`, "/slow")
    await eventually(
      () => connectionsToApp(),
      (count) => count > 0,
    )
    const stopped = running().docker("stop")
    expect(await slow).toMatchObject({ status: 200 })
    await stopped
    // Docker kills what still runs after its grace of 10 s: the code would be 137.
    expect(await inspect("{{.State.ExitCode}} {{.State.OOMKilled}}")).toBe("0 false")
    await expect(ask(app)).rejects.toThrow("fetch failed")
  })
})

/** Established connections to port 4096 (1000) inside the container. */
const connectionsToApp = async (): Promise<number> => {
  const table = await docker("exec", running().id, "cat", "/proc/net/tcp")
  return table.split("\n").filter((line) => / 0100007F:1000 \S+ 01 /.test(line)).length
}

describe.skipIf(!everything)(`an environment that is wrong${onlyInAll}`, () => {
  it("ends the container with exit code 2 and says what is missing", async () => {
    machine = await start({})
    expect(await running().docker("wait")).toBe("2")
    const { stdout, stderr } = await promisify(execFile)("docker", ["logs", running().id])
    expect(stdout + stderr).toContain("INGRESS_MACHINE: is not set")
  })
})
