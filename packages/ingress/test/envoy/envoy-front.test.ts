import { chmod, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { envoyFront } from "../../src/envoy/front/envoy-front.ts"
import type { EnvoyFrontOptions } from "../../src/envoy/front/envoy-front.ts"
import type { Front } from "../../src/ingress.ts"
import { address, declare, to } from "./declare.ts"
import { watchingEnvoy } from "./watching-envoy.ts"
import type { WatchingEnvoy } from "./watching-envoy.ts"

let folder: string
let envoys: WatchingEnvoy[] = []
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "envoy-front-"))))
afterEach(async () => {
  for (const envoy of envoys) await envoy.close()
  envoys = []
  await rm(folder, { recursive: true })
})

const { signal } = new AbortController()
const rule = (name: string, machine = 1, port = 80) => ({
  match: { hostname: `${name}.example.com`, port },
  target: to(machine),
})
type Rules = readonly unknown[]
const planOf = async (front: Front, ...rules: readonly Rules[]) =>
  front.plan({ ingresses: await declare(...rules.map((rules) => ({ rules }))), address }, { signal })
const change = async (front: Front, ...rules: readonly Rules[]) => {
  const plan = await planOf(front, ...rules)
  await plan.validate(signal)
  await plan.apply(signal)
  await plan.readBack(signal)
  return plan
}
/** With clusters by their ingress alone. */
const takenBy = (envoy: WatchingEnvoy) => envoy.taken.splice(0).map((each) => each.replaceAll(/_[\da-f]{8}\b/g, ""))

const contents = async () => {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map(({ parentPath, name }) => join(parentPath, name))
  return Object.fromEntries(
    await Promise.all(files.toSorted().map(async (file) => [file, await readFile(file, "utf8")] as const)),
  )
}

/** A front whose files are there, and an Envoy that watches them. */
const driven = async (more: Partial<EnvoyFrontOptions> = {}, ...rules: readonly Rules[]) => {
  await change(envoyFront({ folder, settleMs: 0 }), ...rules)
  const envoy = await watchingEnvoy(folder)
  envoys.push(envoy)
  const front = envoyFront({ folder, admin: envoy.url, readBackMs: 60_000, ...more })
  return { envoy, front }
}

describe("an Envoy that watches files", () => {
  it("gets clusters before what leads to them, and keeps them until nothing does (4-40)", async () => {
    const { envoy, front } = await driven({}, [rule("a")], [rule("b")])
    expect(takenBy(envoy)).toEqual(["cds app-0,app-1", "lds ingress_listener_80", "rds ingress_routes_80"])
    await change(front, [rule("a"), rule("c", 3, 8081)])
    expect(takenBy(envoy)).toEqual([
      "cds app-0,app-0,app-1",
      "rds ingress_routes_80",
      "lds ingress_listener_80,ingress_listener_8081",
      "rds ingress_routes_8081",
      "cds app-0,app-0",
    ])
    expect(envoy.missing).toEqual([])
    expect(await readdir(join(folder, "rds"))).toEqual(["ingress_routes_80.json", "ingress_routes_8081.json"])
    await change(front, [rule("c", 3, 8081)])
    expect(envoy.missing).toEqual([])
    expect(await readdir(join(folder, "rds"))).toEqual(["ingress_routes_8081.json"])
  })

  it("gets routes when new clusters are ready for them", async () => {
    const { envoy, front } = await driven({}, [rule("a")])
    envoy.warmings = 3
    await change(front, [rule("a"), rule("b", 2)])
    expect(envoy.missing).toEqual([])
    expect(envoy.warmings).toBeLessThan(0)
  })

  it("has only the files written that change: another target is no change of routes and listeners", async () => {
    const { envoy, front } = await driven({}, [rule("a")])
    takenBy(envoy)
    await change(front, [rule("a", 2)])
    expect(takenBy(envoy)).toEqual(["cds app-0"])
    expect((await planOf(front, [rule("a", 2)])).diff).toBe("")
  })

  it("never leads the route of one rule to the target of another, however rules change places", async () => {
    const guarded = { ...rule("a", 1), requireHeader: { name: "x-key", value: "k".repeat(32) } }
    const { envoy, front } = await driven({}, [guarded, rule("b", 2)])
    takenBy(envoy)
    await change(front, [rule("b", 2), guarded])
    // Not even a file is written.
    expect(takenBy(envoy)).toEqual([])
    await change(front, [rule("b", 2), rule("a", 1)])
    expect(takenBy(envoy)).toEqual(["cds app-0,app-0,app-0", "rds ingress_routes_80", "cds app-0,app-0"])
    expect(envoy.missing).toEqual([])
  })

  it("is brought back to what it ran", async () => {
    const { envoy, front } = await driven({}, [rule("a"), rule("b", 2, 8081)])
    const before = await contents()
    const plan = await change(front, [rule("c", 3, 8082)])
    expect(await contents()).not.toEqual(before)
    await plan.rollBack(signal)
    expect(await contents()).toEqual(before)
    expect(envoy.missing).toEqual([])
  })

  it("that refuses a listener is reported, with the port if it is in use", async () => {
    const { envoy, front } = await driven({}, [rule("a")])
    envoy.refusal = "cannot bind '0.0.0.0:8081': Address already in use"
    const plan = await planOf(front, [rule("a"), rule("b", 2, 8081)])
    await plan.apply(signal)
    await expect(plan.readBack(signal)).rejects.toMatchObject({ _tag: "PortInUse", port: 8081 })
    envoy.refusal = "no such certificate"
    const error: unknown = await plan.readBack(signal).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ _tag: "PortInUse" })
    const other = await planOf(front, [rule("a"), rule("b", 2, 8082)])
    await expect(other.apply(signal).then(() => other.readBack(signal))).rejects.toMatchObject({
      _tag: "FrontRefused",
      message: "envoy: has refused a listener",
    })
  })

  it("that does not take the files over, or cannot be asked, fails in time", async () => {
    const { envoy, front } = await driven({ readBackMs: 300 }, [rule("a")])
    envoy.isStuck = true
    const stuck = await planOf(front, [rule("b")])
    await expect(stuck.apply(signal).then(() => stuck.readBack(signal))).rejects.toThrow(
      /take its configuration over within 300 ms/,
    )
    await stuck.rollBack(signal)
    const gone = envoyFront({ folder, admin: "http://127.0.0.1:1", readBackMs: 300 })
    await expect((await planOf(gone, [rule("b")])).apply(signal)).rejects.toMatchObject({ cause: expect.any(Error) })
  })

  it("is started again when its bootstrap has changed, and not otherwise", async () => {
    let starts = 0
    const restart = async () => void starts++
    const front = envoyFront({ folder, restart, settleMs: 0 })
    await change(front, [rule("a")])
    await change(front, [rule("b")])
    expect(starts).toBe(1)
    const other = envoyFront({ folder, restart, settleMs: 0, export: { folder: "/etc/envoy", admin: false } })
    const plan = await change(other, [rule("b")])
    expect(starts).toBe(2)
    await plan.rollBack(signal)
    expect(starts).toBe(3)
  })
})

describe("an Envoy with one file", () => {
  it("has it replaced whole, and is started again", async () => {
    let starts = 0
    const front = envoyFront({ folder, export: { mode: "static" }, restart: async () => void starts++ })
    await change(front, [rule("a")])
    await change(front, [rule("b")])
    expect(await readFile(join(folder, "envoy.yaml"), "utf8")).toContain("b.example.com")
    expect([starts, (await readdir(folder)).toSorted()]).toEqual([2, [".project-ingress.json", "envoy.yaml"]])
  })

  it("has no versions to ask for", () => {
    expect(() => envoyFront({ folder, export: { mode: "static" }, admin: "http://127.0.0.1:1" })).toThrow(
      /admin must be absent/,
    )
    expect(() => envoyFront({ folder, admin: "127.0.0.1:9901" })).toThrow(/URL/)
    expect(() => envoyFront({ folder, setleMs: 1 } as EnvoyFrontOptions)).toThrow(/did you mean settleMs/)
  })
})

describe("a plan", () => {
  const secret = `k"\\${"s3cr3t".repeat(8)}`
  const guarded = { ...rule("a"), requireHeader: { name: "x-key", value: secret } }

  it("shows no required header, and writes it where its owner alone reads it", async () => {
    const front = envoyFront({ folder })
    const { diff } = await planOf(front, [guarded])
    expect(diff).toContain("[secret]")
    expect(diff).not.toContain("s3cr3t")
  })

  it("is a change if a required header alone is another one", async () => {
    const front = envoyFront({ folder, settleMs: 0 })
    await change(front, [guarded])
    const other = { ...guarded, requireHeader: { name: "x-key", value: "o".repeat(40) } }
    expect((await planOf(front, [other])).diff).not.toBe("")
    expect((await planOf(front, [guarded])).diff).toBe("")
  })

  it("is checked by a binary, over everything at once; what it says goes to logs alone", async () => {
    const binary = join(folder, "envoy.sh")
    const log = join(folder, "seen.json")
    await writeFile(
      binary,
      `#!/bin/sh\necho "$@" >${folder}/args\ncp "$5" ${log}\ngrep exact "$5" >&2\ngrep -q bad.example.com "$5" && exit 1\nexit 0\n`,
    )
    await chmod(binary, 0o755)
    const front = envoyFront({ folder: join(folder, "files"), binary })
    await (await planOf(front, [rule("a")])).validate(signal)
    expect(await readFile(join(folder, "args"), "utf8")).toMatch(
      /^--mode validate --disable-hot-restart -c \S+envoy\.json\n$/,
    )
    expect(JSON.parse(await readFile(log, "utf8"))).toMatchObject({
      static_resources: { clusters: [{ name: expect.stringMatching(/^app-0_/) }] },
    })
    const bad = await planOf(front, [{ ...guarded, match: { hostname: "bad.example.com" } }])
    const error: unknown = await bad.validate(signal).catch((cause: unknown) => cause)
    expect(error).toMatchObject({ _tag: "FrontRefused", message: "envoy: does not accept the configuration" })
    expect((error as Error).cause).toContain("[secret]")
    expect((error as Error).cause).not.toContain("s3cr3t")
    const missing = envoyFront({ folder: join(folder, "files"), binary: join(folder, "no-envoy") })
    await expect((await planOf(missing, [rule("a")])).validate(signal)).rejects.toMatchObject({ code: "ENOENT" })
    expect(await readdir(folder)).not.toContain("files")
  })

  it("is refused over a file that was changed by hand", async () => {
    const front = envoyFront({ folder, settleMs: 0 })
    await change(front, [rule("a")])
    await writeFile(join(folder, "cds/cds.json"), "{}")
    await expect(planOf(front, [rule("b")])).rejects.toMatchObject({ _tag: "FrontRefused", message: /cds\/cds\.json/ })
    await change(envoyFront({ folder, settleMs: 0, overwrite: true }), [rule("b")])
  })
})
