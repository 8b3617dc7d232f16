import { spawnSync } from "node:child_process"
import { mkdtemp, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { dockerCommand, rollOut, RollOutFailed } from "@project-ingress/ingress/traefik/front"
import { describe, expect, it } from "vitest"
import { fakeDocker } from "./fake-docker.ts"

const quick = { folder: "/stack", pollMs: 1, healthyMs: 50, withoutHealthMs: 20, drainMs: 1_000 }

describe("replacing a service", () => {
  it("starts as many again, waits for their health, has the old ones drain, and removes them", async () => {
    const docker = fakeDocker({ running: 2 })
    expect(await rollOut("traefik", { ...quick, command: docker.command })).toEqual({
      removed: ["c1", "c2"],
      started: ["c3", "c4"],
    })
    expect(docker.running()).toEqual(["c3", "c4"])
    const order = [
      "up --detach --no-deps --no-recreate --scale traefik=4 traefik",
      "exec c1 touch /tmp/drain",
      "exec c2 touch /tmp/drain",
      "stop c1 c2",
      "rm --force c1 c2",
    ]
    expect(docker.calls.filter((call) => order.some((each) => call.endsWith(each)))).toEqual(
      order.map((each) => expect.stringContaining(each)),
    )
    expect(Math.min(...docker.serving)).toBe(2)
  })

  it("does nothing for one that does not run", async () => {
    const docker = fakeDocker({ running: 0 })
    expect(await rollOut("traefik", { ...quick, command: docker.command })).toEqual({ removed: [], started: [] })
    expect(docker.calls).toEqual(["compose ps --quiet traefik"])
  })

  it("waits a fixed time where there is no health check, and asks nobody to drain", async () => {
    const docker = fakeDocker({ becomes: "none" })
    const before = performance.now()
    expect(await rollOut("traefik", { ...quick, command: docker.command })).toEqual({
      removed: ["c1"],
      started: ["c2"],
    })
    expect(performance.now() - before).toBeGreaterThanOrEqual(19)
    expect(docker.calls.join()).not.toContain("drain")
  })

  it.each([
    ["starting", "were not healthy after 50 ms"],
    ["unhealthy", "were not healthy after 50 ms"],
    ["gone", "a new container has ended"],
  ] as const)("removes the new ones and keeps the old ones if they are %s", async (becomes, message) => {
    const docker = fakeDocker({ becomes })
    const failure = await rollOut("traefik", { ...quick, command: docker.command }).catch((cause: unknown) => cause)
    expect(failure).toBeInstanceOf(RollOutFailed)
    expect((failure as Error).message).toContain(message)
    expect(docker.running()).toEqual(["c1"])
  })

  it("removes the new ones if it is interrupted", async () => {
    const docker = fakeDocker({ becomes: "starting" })
    const signal = AbortSignal.timeout(15)
    await expect(rollOut("traefik", { ...quick, healthyMs: 60_000, command: docker.command, signal })).rejects.toThrow(
      "it was interrupted",
    )
    expect(docker.running()).toEqual(["c1"])
  })

  it("takes no argument for a service", async () => {
    await expect(rollOut("--all", { ...quick, command: fakeDocker({}).command })).rejects.toThrow(TypeError)
  })
})

describe("the docker on the PATH", () => {
  it("is run with its input, and its output is given back", async (ctx) => {
    if (spawnSync("docker", ["--version"]).error !== undefined) ctx.skip("not applicable: docker is not installed")
    const { signal } = new AbortController()
    expect(await dockerCommand(["--version"], { cwd: "/", signal })).toMatchObject({
      code: 0,
      stdout: expect.stringContaining("Docker"),
    })
    expect(await dockerCommand(["no-such-command"], { cwd: "/", signal })).toMatchObject({
      code: expect.any(Number),
      stdout: "",
    })
  })

  it("is waited for no longer once the signal is aborted", async () => {
    await expect(dockerCommand(["version"], { cwd: "/", signal: AbortSignal.abort() })).rejects.toThrow("abort")
  })

  it("checks the stack's compose file", async (ctx) => {
    if (spawnSync("docker", ["compose", "version"]).status !== 0) ctx.skip("not applicable: docker has no compose")
    const { traefikFront } = await import("@project-ingress/ingress/traefik/front")
    const folder = await mkdtemp(join(tmpdir(), "compose-"))
    const options = {
      acme: { email: "a@example.com", challenge: "http" },
      compose: { services: { dns: { image: "${DNS_IMAGE:?}" } } },
    } as const
    try {
      const plan = (overrides: object) =>
        traefikFront({ folder, options: { ...options, overrides } }).plan(
          { ingresses: [], address: () => undefined },
          { signal: new AbortController().signal },
        )
      await (await plan({})).validate(new AbortController().signal)
      await expect(
        (await plan({ compose: { services: { traefik: { imagee: "x" } } } })).validate(new AbortController().signal),
      ).rejects.toThrow("compose refuses")
    } finally {
      await rm(folder, { recursive: true })
    }
  })
})
