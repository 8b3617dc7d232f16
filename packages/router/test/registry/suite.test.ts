/** The suite itself: every law can be broken, and any runner can run it. */
import { spawnSync } from "node:child_process"
import { fileURLToPath } from "node:url"
import { describe, expect, it } from "vitest"
import { memoryRegistry } from "../../src/stores/memory.ts"
import { registryLaws, routeRegistrySuite } from "../../src/testing.ts"
import type { AnyRegistry, RegistryFixture, RegistryLawName, RegistrySuiteOptions } from "../../src/testing.ts"

/** A registry in memory; `spoil` breaks it. */
const fixtureOf = (spoil: (registry: AnyRegistry) => Partial<AnyRegistry> = () => ({})): RegistryFixture => {
  let registry: AnyRegistry | undefined
  const open: RegistryFixture["open"] = (options) => {
    if (registry === undefined) {
      const { pollMs: _, ...accepted } = options
      const sound = memoryRegistry(accepted)
      registry = { ...sound, ...spoil(sound) }
    }
    return registry
  }
  const empty = () => {
    registry = undefined
  }
  return { open, empty, notifies: true }
}

/** The laws that do not hold. */
const broken = async (fixture: RegistryFixture, options: RegistrySuiteOptions = {}): Promise<readonly string[]> => {
  const tests: [string, () => Promise<void>][] = []
  routeRegistrySuite((name, run) => void tests.push([name, run]), fixture, options)
  const found: string[] = []
  for (const [name, run] of tests) await run().catch(() => found.push(name.split(":")[0]!))
  return found
}

describe("the laws of registries", () => {
  it("hold in memory, each under its name", async () => {
    const tests: string[] = []
    const { tried, skipped } = routeRegistrySuite((name) => void tests.push(name), fixtureOf())
    expect(tests).toEqual(Object.entries(registryLaws).map(([name, claim]) => `${name}: ${claim}`))
    expect([tried, skipped]).toEqual([Object.keys(registryLaws), {}])
    expect(await broken(fixtureOf())).toEqual([])
  })

  it.each<[string, readonly RegistryLawName[], (sound: AnyRegistry) => Partial<AnyRegistry>]>([
    [
      "forgets ifVersion",
      ["race.version", "version.one-writer"],
      (sound) => ({ attach: (reference, machine) => sound.attach(reference, machine) }),
    ],
    [
      "lists every owner's projects",
      ["list.pages"],
      (sound) => ({ list: (options = {}) => sound.list("owner" in options ? {} : options) }),
    ],
    [
      "reads another owner's project",
      ["reference.prefix", "external-id.unique"],
      (sound) => ({ read: (reference) => sound.read(reference) }),
    ],
    [
      "never redirects a former name",
      ["rename.quarantine", "rename.back"],
      (sound) => ({
        get: async (key, options) => {
          const found = await sound.get(key, options)
          return found.status === "hit" && found.record.kind === "redirect" ? { status: "miss" } : found
        },
      }),
    ],
    [
      "leaves removals out of its feed",
      ["feed.keys", "purge.forgets"],
      (sound) => ({
        changes: async (since, options) => {
          const page = await sound.changes(since, options)
          if (page.status === "gap") return page
          return { ...page, changes: page.changes.filter(({ record }) => record !== undefined) }
        },
      }),
    ],
    [
      "repeats what is asked for again",
      ["request.concurrent"],
      (sound) => ({ detach: (reference) => sound.detach(reference) }),
    ],
    [
      "believes every domain",
      ["domain.unproven", "domain.first"],
      (sound) => ({
        verifyDomain: (...given) =>
          sound.verifyDomain(...given).catch((cause) => ({ ...cause, verified: true })) as never,
      }),
    ],
    [
      "keeps external ids to one case",
      ["external-id.unique"],
      (sound) => ({
        create: (project, options) =>
          sound.create(
            project.externalId === undefined ? project : { ...project, externalId: project.externalId.toLowerCase() },
            options,
          ),
      }),
    ],
  ])("find a registry that %s", async (_, laws, spoil) => {
    expect(await broken(fixtureOf(spoil), { lawTimeoutMs: 20_000 })).toEqual(expect.arrayContaining([...laws]))
  })

  it("are skipped by name, with a reason", async () => {
    const skip = { "race.create": "one connection" }
    const run: string[] = []
    const test = Object.assign((name: string) => void run.push(name), { skip: (name: string) => void run.push(name) })
    const { tried, skipped } = routeRegistrySuite(test, fixtureOf(), { skip })
    expect(skipped).toEqual(skip)
    expect(tried).not.toContain("race.create")
    expect(run).toContain("race.create: one of many creates has the name (skipped: one connection)")
  })

  it.each<[object, string]>([
    [{ skip: { "race.none": "x" } }, 'routeRegistrySuite: skip: there is no law "race.none"'],
    [{ skip: { "race.create": " " } }, "routeRegistrySuite: skip: race.create needs a reason"],
    [{ writer: 40 }, "writer"],
    [{ writers: 1 }, "routeRegistrySuite: writers must be an integer from 30 up"],
  ])("refuse %j", (options, message) => {
    expect(() => routeRegistrySuite(() => undefined, fixtureOf(), options as never)).toThrow(message)
    expect(() => routeRegistrySuite(() => undefined, {} as never)).toThrow("open")
  })

  it("run under node:test", () => {
    const main = fileURLToPath(new URL("suite-main.ts", import.meta.url))
    const args = ["--conditions=@project-ingress/source", "--test", "--test-reporter=tap", main]
    // Without what tells a process that it is a test of another runner.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    const { status, stdout, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env })
    expect([status, stderr]).toEqual([0, ""])
    expect(stdout).toContain(`# pass ${Object.keys(registryLaws).length}`)
  }, 120_000)
})
