import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { parseEnv } from "node:util"
import { machineKey, signTicket } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { readConfig } from "../src/config.ts"
import { get, raw, startApp, startProxy } from "./harness.ts"

const bin = fileURLToPath(new URL("../src/bin.ts", import.meta.url))

const runWith = (env: Readonly<Record<string, string>>, ...args: readonly string[]) =>
  new Promise<{ readonly code: unknown; readonly out: string; readonly err: string }>((resolve) => {
    execFile(
      process.execPath,
      ["--conditions=@project-ingress/source", bin, "keys", ...args],
      { env: { ...process.env, ...env } },
      (error, out, err) => resolve({ code: error === null ? 0 : error.code, out, err }),
    )
  })

const run = (...args: readonly string[]) => runWith({}, ...args)

/** The two variables, as a shell sets them. */
const shell = (output: string): Promise<{ readonly router: string; readonly machine: string }> =>
  new Promise((resolve, reject) => {
    const script = `${output}\nprintf '%s\\n' "$TICKET_KEY" "$INGRESS_TICKET_KEYS"`
    execFile("/bin/sh", ["-c", script], { env: {} }, (error, out) => {
      if (error !== null) return reject(error)
      const [router = "", machine = ""] = out.split("\n")
      resolve({ router, machine })
    })
  })

describe("keys", () => {
  it.each([
    ["an Ed25519 pair", [], { kty: "OKP", alg: "EdDSA" }],
    ["one HS256 secret for both sides", ["--secret"], { kty: "oct", alg: "HS256" }],
  ])("prints %s, with which a router reaches a machine", async (_, args, kind) => {
    const { code, out, err } = await run(...args)
    expect([code, err]).toEqual([0, ""])
    const variables = await shell(out)
    expect(parseEnv(out)).toEqual({ TICKET_KEY: variables.router, INGRESS_TICKET_KEYS: variables.machine })

    const signing = JSON.parse(variables.router) as SigningKey
    expect(signing).toMatchObject(kind)
    const read = readConfig({ INGRESS_MACHINE: "mach_k", INGRESS_TICKET_KEYS: variables.machine }, { insecure: false })
    if ("problems" in read) throw new Error(read.problems.join())
    await using app = await startApp()
    await using proxy = await startProxy(read.config.proxy)
    const ticket = await signTicket(signing, { machine: "mach_k", port: app.port, name: "localhost" })
    const response = await raw(proxy.port, [
      "GET / HTTP/1.1",
      "Host: m",
      `x-iterate-proxy-ticket: ${ticket}`,
      `x-iterate-proxy-target-host: localhost:${app.port}`,
    ])
    expect(response.status).toBe(200)
    expect((await get(proxy.port, app.port)).status).toBe(401)
  })

  it("prints the key of one machine, which verifies tickets and proves that it is that machine", async () => {
    const { router } = await shell((await run()).out)
    const { code, out, err } = await runWith({ TICKET_KEY: router }, "--machine", "mach_k")
    expect([code, err]).toEqual([0, ""])
    const { keys } = JSON.parse((await shell(out)).machine) as { keys: unknown[] }
    expect(keys).toEqual([await machineKey(JSON.parse(router) as SigningKey, "mach_k")])
    expect(out).not.toContain((JSON.parse(router) as { d: string }).d)
  })

  it.each([
    [{}, ["--machine", "mach_k"], "TICKET_KEY: is not set"],
    [{ TICKET_KEY: "s3cr3t" }, ["--machine", "mach_k"], "TICKET_KEY: is not JSON"],
    [{ TICKET_KEY: '{"k":"s3cr3t"}' }, ["--machine", "mach_k"], "TICKET_KEY: a key must have"],
    [{}, ["--machine", "two words"], "--machine: is not accepted"],
    [{}, ["--machine", "mach_k", "--secret"], "neither --kid nor --secret"],
  ])("exits 2 with %j for %j", async (environment, args, problem) => {
    const { code, out, err } = await runWith(environment, ...args)
    expect([code, out]).toEqual([2, ""])
    expect(err).toContain(problem)
    expect(err).not.toContain("s3cr3t")
  })

  it("says what a shared secret lets each machine do", async () => {
    expect((await run("--secret")).out).toMatch(/can send requests to every other one and prove to be any of them/)
    expect((await run("--help")).out).toMatch(/only for machines that trust each other/)
  })

  it("gives the machine no half that signs", async () => {
    const { router, machine } = await shell((await run()).out)
    const { d } = JSON.parse(router) as { d: string }
    expect(d).toMatch(/^[\w-]{43}$/)
    expect(machine).not.toContain(d)
  })

  it("prints another key with another id each time, and the id of --kid", async () => {
    const kidOf = async (...args: readonly string[]) => {
      const { router, machine } = await shell((await run(...args)).out)
      const { kid } = JSON.parse(router) as { kid: string }
      expect(JSON.parse(machine)).toMatchObject({ keys: [{ kid }] })
      return kid
    }
    const [first, second] = await Promise.all([kidOf(), kidOf("--secret")])
    expect(first).toMatch(/^\d{4}-\d\d-\d\d-[0-9a-f]{8}$/)
    expect(second).not.toBe(first)
    expect(await kidOf("--kid", "2026-11")).toBe("2026-11")
  })

  it.each([
    [["--kid", "it's"], "--kid: "],
    [["--kid", ""], "--kid: "],
    [["--kid", "k".repeat(65)], "--kid: "],
    [["--sceret"], "--sceret"],
    [["more"], "more"],
  ])("exits 2 for %j and prints no key", async (args, problem) => {
    const { code, out, err } = await run(...args)
    expect([code, out]).toEqual([2, ""])
    expect(err).toMatch(/^project-ingress-machine-proxy: keys: /)
    expect(err).toContain(problem)
  })

  it("has a help of its own", async () => {
    const { code, out } = await run("--help")
    expect(code).toBe(0)
    expect(out).toContain("--secret")
    expect(out).not.toContain("kty")
  })
})
