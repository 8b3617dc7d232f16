import { spawn } from "node:child_process"
import { once } from "node:events"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fileStorage } from "@project-ingress/ingress/storage/file"
import { startMachine } from "../src/machine.ts"
import { startPlatform } from "../src/platform.ts"
import type { Platform } from "../src/platform.ts"
import { anAddress, lacking, leading, testOptions, visit } from "./start.ts"
import type { Killed } from "./killed-main.ts"

const name = "api"
/** Another target, another hostname, and one that stays: a mix of old and new would show. */
const rulesTo = (machine: string, more: string) => ({
  name,
  rules: [...leading("api.example.com", machine).rules, ...leading(more, machine).rules],
})
const [before, after] = [rulesTo("old", "before.example.com"), rulesTo("new", "after.example.com")]
const hostnames = ["api.example.com", "before.example.com", "after.example.com"]
const served = { old: ["old", "old", "404"], new: ["new", "404", "new"] }

describe.skipIf(lacking !== "")(`the control plane is killed${lacking}`, () => {
  const ends: (() => Promise<unknown>)[] = []
  let options: Awaited<ReturnType<typeof testOptions>>
  let platform: Platform

  const at = async (port: number) => {
    const all: string[] = []
    for (const hostname of hostnames) all.push((await visit(port, hostname)).split(" ")[0]!)
    return all
  }

  /** Carries out the change in a process of its own, which dies of it. */
  const killedAt = async (step: string, when: Killed["when"]): Promise<string> => {
    const { remove: _, ...given } = options
    const killed: Killed = { options: given, step, when, reference: name, document: after }
    const args = ["--conditions=@project-ingress/source", join(import.meta.dirname, "killed-main.ts")]
    const child = spawn(process.execPath, [...args, JSON.stringify(killed)], {
      stdio: ["ignore", "inherit", "inherit"],
      // Half of what a process costs here is reading TypeScript.
      env: { ...process.env, NODE_COMPILE_CACHE: join(options.folder, "compiled") },
    })
    const [code, signal] = (await once(child, "exit")) as [number | null, string | null]
    return signal ?? String(code)
  }

  beforeAll(async () => {
    const [old, next] = [anAddress(), anAddress()]
    for (const [id, host] of Object.entries({ old, new: next })) {
      const machine = await startMachine(id, host, 8080)
      ends.push(() => machine.close())
    }
    options = await testOptions({ old, new: next })
    platform = await startPlatform(options)
    await platform.ingresses.create(before)
  })
  afterAll(async () => {
    await platform?.close()
    await platform?.caddy.stop()
    for (const end of ends) await end()
    await options.remove()
  })

  it.each<[when: Killed["when"], step: string, outcome: "old" | "new"]>([
    ["before", "plan", "old"],
    ["after", "plan", "old"],
    ["after", "validate", "old"],
    ["after", "mark", "old"],
    ["during", "apply", "old"],
    ["after", "apply", "old"],
    ["after", "read back", "old"],
    ["after", "commit", "new"],
    ["after", "erase the mark", "new"],
  ])("%s %s, and started again: storage, Caddy and the router have the %s rules", async (when, step, outcome) => {
    if ((await platform.ingresses.read(name)).rules[1]?.match.hostname?.text === "after.example.com") {
      await platform.ingresses.replace(name, before)
    }
    await platform.close()
    expect(await killedAt(step, when)).toBe("SIGKILL")
    const interrupted: string[] = []
    platform = await startPlatform({
      ...options,
      onEvent: ({ type }) => type === "interrupted" && interrupted.push(type),
    })
    const storage = fileStorage(join(options.folder, "ingresses"))
    const { documents } = await storage.read(0)
    const stored = documents.flatMap((each) => (each.kind === "ingress" ? each.rules : []))
    expect(stored.map(({ targets }) => targets[0])).toEqual(
      stored.map(() => expect.objectContaining({ machine: outcome })),
    )
    expect([stored.length, await at(options.ports.visitors), await at(options.ports.control)]).toEqual([
      2,
      served[outcome],
      served[outcome],
    ])
    // The note of a killed process is found, and gone when everything is in order.
    const isMarked = ["mark", "apply", "read back", "commit"].includes(step)
    expect(interrupted).toEqual(isMarked ? ["interrupted"] : [])
    expect(await storage.marked()).toBeUndefined()
    expect(await platform.ingresses.reconcile()).toEqual([])
  })
})
