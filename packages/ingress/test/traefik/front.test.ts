import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { DeclaredIngress, Ingress } from "@project-ingress/ingress"
import { traefikFront } from "@project-ingress/ingress/traefik/front"
import type { TraefikFrontOptions } from "@project-ingress/ingress/traefik/front"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { declared, readYaml } from "./declared.ts"
import { fakeDocker } from "./fake-docker.ts"

let folder: string
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "traefik-"))))
afterEach(() => rm(folder, { recursive: true }))

const { signal } = new AbortController()
const web = (hostname: string, rest: Partial<Ingress["rules"][number]> = {}) =>
  declared({ name: "web", rules: [{ match: { hostname }, target: { url: "http://10.0.0.1" }, ...rest }] })
const read = (path: string) => readFile(join(folder, path), "utf8")

const planOf = (ingresses: readonly DeclaredIngress[], options: Partial<TraefikFrontOptions> = {}) =>
  traefikFront({ folder, docker: false, ...options }).plan({ ingresses, address: () => undefined }, { signal })
const carriedOut = async (...args: Parameters<typeof planOf>) => {
  const plan = await planOf(...args)
  await plan.validate(signal)
  await plan.apply(signal)
  await plan.readBack(signal)
  return plan
}

describe("the folder of Traefik's front", () => {
  it("3-21: is written once, and then only where something changes", async () => {
    await carriedOut([await web("a.example.com")])
    expect((await readdir(folder, { recursive: true })).toSorted()).toEqual([
      ".project-ingress.json",
      "traefik",
      "traefik/dynamic",
      "traefik/dynamic/web.yml",
      "traefik/traefik.yml",
    ])
    const before = await stat(join(folder, "traefik/traefik.yml"))
    expect((await planOf([await web("a.example.com")])).diff).toBe("")
    const { diff } = await carriedOut([await web("b.example.com")])
    expect(diff).toContain('+      rule: "Host(`b.example.com`)"')
    expect((await stat(join(folder, "traefik/traefik.yml"))).ino).toBe(before.ino)
  })

  it("is restored by a roll-back", async () => {
    await carriedOut([await web("a.example.com")])
    const before = await read("traefik/dynamic/web.yml")
    const plan = await carriedOut([await web("b.example.com", { match: { hostname: "b.example.com", port: 8080 } })])
    await plan.rollBack(signal)
    expect(await read("traefik/dynamic/web.yml")).toBe(before)
    expect(await read("traefik/traefik.yml")).not.toContain("8080")
  })

  it("is not written over a change by hand", async () => {
    await carriedOut([await web("a.example.com")])
    await writeFile(join(folder, "traefik/dynamic/web.yml"), "http: {}\n")
    await expect(planOf([await web("a.example.com")])).rejects.toMatchObject({ _tag: "FrontRefused", front: "traefik" })
    await carriedOut([await web("a.example.com")], { overwrite: true })
  })

  it.each(["", '"\\'])("shows no secret in a diff, and keeps its file from others: ending with %j", async (end) => {
    const value = `0123456789abcdef0123456789abcdef${end}`
    const { diff } = await carriedOut([await web("a.example.com", { requireHeader: { name: "x-key", value } })])
    expect(diff).toContain("Header(`x-key`, `[secret]`)")
    expect(diff).not.toContain("0123456789abcdef")
    expect((await stat(join(folder, "traefik/dynamic/web.yml"))).mode & 0o777).toBe(0o600)
  })

  it("has valid options, or there is no front", () => {
    expect(() => traefikFront({ folder: "" })).toThrow("folder must be")
    expect(() => traefikFront({ folder, api: "localhost:8080" })).toThrow("api must be a URL of http")
    expect(() => traefikFront({ folder, options: { version: "2" } })).toThrow("version must be")
  })
})

describe("what Traefik runs", () => {
  /** Gives what the files say, as Traefik's API does, after some requests. */
  const api = async (change: (routers: Record<string, object>) => Record<string, object>, after = 0) => {
    let requests = 0
    const respond = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      requests += 1
      const routers = requests > after ? await runningRouters() : {}
      response.end(JSON.stringify(request.url === "/api/rawdata" ? { routers: change(routers) } : {}))
    }
    const server = createServer((request, response) => void respond(request, response)).listen(0, "127.0.0.1")
    await once(server, "listening")
    return {
      url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
      requests: () => requests,
      [Symbol.asyncDispose]: async () => {
        server.closeAllConnections()
        server.close()
        await once(server, "close")
      },
    }
  }
  const runningRouters = async (): Promise<Record<string, object>> => {
    const { routers } = readYaml(await read("traefik/dynamic/web.yml"))["http"]!
    return Object.fromEntries(
      Object.entries(routers!).map(([name, router]) => [`${name}@file`, { ...router, status: "enabled" }]),
    )
  }

  it("is waited for, and compared with the files", async () => {
    await using running = await api(
      (routers) => ({ ...routers, "dashboard@docker": { rule: "Host(`x`)" }, "own@file": { rule: "Host(`y`)" } }),
      2,
    )
    await carriedOut([await web("a.example.com")], { api: running.url })
    expect(running.requests()).toBe(3)
  })

  it.each<[string, (routers: Record<string, object>) => Record<string, object>, string]>([
    ["a router is missing", () => ({}), "http web_0 is not there"],
    [
      "an old router is still there",
      (routers) => ({ ...routers, "old_0@file": { rule: "Host(`x`)" } }),
      "http old_0 is still there",
    ],
    [
      "a router is disabled",
      (routers) => ({ "web_0@file": { ...routers["web_0@file"], status: "disabled" } }),
      "http web_0 is not enabled",
    ],
    [
      "a rule is another one",
      (routers) => ({ "web_0@file": { ...routers["web_0@file"], rule: "Host(`x`)" } }),
      "http web_0 has another rule",
    ],
  ])("is not what was written if %s", async (_, change, message) => {
    await using running = await api(change)
    await expect(carriedOut([await web("a.example.com")], { api: running.url, takenMs: 100 })).rejects.toThrow(message)
  })

  it("is not known without its API", async () => {
    await expect(carriedOut([await web("a.example.com")], { api: "http://127.0.0.1:1", takenMs: 100 })).rejects.toThrow(
      "its API does not respond",
    )
  })
})

describe("3-23: the stack", () => {
  const host = { compose: { network: "host" } } as const
  const ups = (docker: ReturnType<typeof fakeDocker>) => docker.calls.filter((call) => call.startsWith("compose up"))
  const other = { match: { hostname: "a.example.com", port: 9000 } }

  it("is replaced once if the static configuration changes, and not if a rule does", async () => {
    const docker = fakeDocker({})
    const options = { options: host, docker: docker.command }
    await carriedOut([await web("a.example.com")], { ...options, docker: fakeDocker({ running: 0 }).command })
    await carriedOut([await web("b.example.com")], options)
    expect(ups(docker)).toEqual([])
    await carriedOut([await web("a.example.com", other)], options)
    expect(ups(docker)).toEqual(["compose up --detach --no-deps --no-recreate --scale traefik=2 traefik"])
    expect(docker.running()).toEqual(["c2"])
    const labels = readYaml(await read("docker-compose.yml"))["services"]!["traefik"]!["labels"]
    expect(Object.keys(labels!)).toEqual(["project-ingress.static"])
  }, 15_000)

  it("is replaced again by a roll-back", async () => {
    const docker = fakeDocker({})
    const options = { options: host, docker: docker.command }
    await carriedOut([await web("a.example.com")], { ...options, docker: false })
    const plan = await carriedOut([await web("a.example.com", other)], options)
    await plan.rollBack(signal)
    expect(docker.running()).toEqual(["c3"])
    expect(await read("docker-compose.yml")).not.toContain("9000")
  }, 15_000)

  it("is not started by its first deployment", async () => {
    const docker = fakeDocker({ running: 0 })
    await carriedOut([await web("a.example.com")], { options: host, docker: docker.command })
    expect(ups(docker)).toEqual([])
  })

  it("is recreated where it publishes ports, which two containers cannot", async () => {
    const docker = fakeDocker({})
    const options = { options: { compose: {} }, docker: docker.command }
    await carriedOut([await web("a.example.com")], { ...options, docker: fakeDocker({ running: 0 }).command })
    await carriedOut([await web("a.example.com", other)], options)
    expect(ups(docker)).toEqual(["compose up --detach --no-deps traefik"])
  })

  it("3-27: is not written if compose refuses its file", async () => {
    const docker = fakeDocker({ refuses: (args, input) => args.includes("config") && input!.includes("imagee") })
    const overrides = { compose: { services: { traefik: { imagee: "x" } } } }
    const plan = await planOf([], { options: { ...host, overrides }, docker: docker.command })
    await expect(plan.validate(signal)).rejects.toMatchObject({
      _tag: "FrontRefused",
      reason: "compose refuses docker-compose.yml",
    })
    expect(await readdir(folder)).toEqual([])
  })

  it("is checked by our own means where docker has no compose", async () => {
    const docker = fakeDocker({ hasCompose: false })
    await carriedOut([await web("a.example.com")], { options: host, docker: docker.command })
    expect(new Set(docker.calls)).toEqual(new Set(["compose version"]))
  })

  it("keeps the old container after a roll-out that failed, and rolls back without another", async () => {
    const docker = fakeDocker({ becomes: "gone" })
    const options = { options: host, docker: docker.command }
    await carriedOut([await web("a.example.com")], { ...options, docker: false })
    const plan = await planOf([await web("a.example.com", other)], options)
    await expect(plan.apply(signal)).rejects.toMatchObject({ _tag: "RollOutFailed" })
    await plan.rollBack(signal)
    expect(docker.running()).toEqual(["c1"])
    expect(ups(docker)).toHaveLength(1)
    expect(await read("traefik/traefik.yml")).not.toContain("9000")
  })
})
