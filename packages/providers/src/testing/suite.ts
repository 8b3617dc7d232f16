import { LawBroken, within } from "./assert.ts"
import type { Fixture, Need } from "./fixture.ts"
import { doors } from "./laws/doors.ts"
import { http } from "./laws/http.ts"
import { identity } from "./laws/identity.ts"
import { platform } from "./laws/platform.ts"
import { secrets, silence } from "./laws/secrets.ts"
import { machineStates, removal, wake } from "./laws/states.ts"
import { time } from "./laws/time.ts"
import { webSocket } from "./laws/websocket.ts"
import { makeWorld } from "./world.ts"
import type { Law, World } from "./world.ts"

/** In the order in which they are tried. */
const all = {
  ...identity,
  ...http,
  ...time,
  ...webSocket,
  ...machineStates,
  ...wake,
  ...platform,
  ...doors,
  ...secrets,
  ...removal,
  ...silence,
} satisfies Record<string, Law>

/** The stable name of a law: `identity.mismatch`. */
export type LawName = keyof typeof all

/** Every law's sentence by its name. */
export const laws: Readonly<Record<LawName, string>> = Object.fromEntries(
  Object.entries(all).map(([name, { says }]) => [name, says]),
) as Record<LawName, string>

/** What runs a test in the caller's runner: vitest's `it`, `test` of node:test or of bun:test, `Deno.test`. */
export interface TestRunner {
  (name: string, run: () => Promise<void>): unknown
  /**
   * Takes the laws that are left out; the reason is in the name. Where there is none, they are tests that ask the runner's
   * context to skip them, as vitest and node:test give one, and pass elsewhere.
   */
  readonly skip?: (name: string, run: () => Promise<void>) => unknown
}

export interface SuiteOptions {
  /** Laws that this provider does not keep, and why: `{ "http.gzip": "the edge decodes bodies" }`. */
  readonly skip?: Partial<Readonly<Record<LawName, string>>>
  /** How long one law may take, in ms. 20 000. */
  readonly lawTimeoutMs?: number
}

/** What became of the laws when they were registered. */
export interface SuiteReport {
  readonly tried: readonly LawName[]
  /** The reason by name. */
  readonly skipped: Partial<Readonly<Record<LawName, string>>>
}

/**
 * Proves a provider: registers one test for each law in the caller's runner. `setup` is called once, at once; what it opened
 * is the caller's to close, after the tests. The laws share its fixture and are tried one after the other, in any runner.
 *
 * @throws {TypeError} when `skip` names no law, or gives no reason
 *
 * @example
 * await providerSuite(it, async () => ({ provider: nimbus({ apiKey }), machine, signing, secrets: [apiKey] }))
 */
export const providerSuite = async (
  test: TestRunner,
  setup: () => Fixture | Promise<Fixture>,
  options: SuiteOptions = {},
): Promise<SuiteReport> => {
  const { skip = {}, lawTimeoutMs = 20_000 } = options
  for (const [name, reason] of Object.entries(skip)) {
    if (!Object.hasOwn(all, name)) throw new TypeError(`skip: there is no law ${JSON.stringify(name)}`)
    if (typeof reason !== "string" || reason.trim() === "") throw new TypeError(`skip: ${name} needs a reason`)
  }
  const world = makeWorld(await setup())
  const tried: LawName[] = []
  const skipped: Partial<Record<LawName, string>> = {}
  let turn: Promise<unknown> = Promise.resolve()
  for (const [key, law] of Object.entries(all)) {
    const name = key as LawName
    const title = `${name}: ${law.says}`
    const reason = skip[name] ?? law.needs.map((need) => lacks(world, need)).find((lack) => lack !== undefined)
    if (reason === undefined) {
      tried.push(name)
      test(title, () => {
        // Laws stop machines; a runner that starts all tests at once must not let them meet.
        const mine = turn.then(() => within(lawTimeoutMs, tryLaw(law, world), name))
        turn = mine.catch(() => {})
        return mine
      })
    } else {
      skipped[name] = reason
      const leaveOut = async (...context: unknown[]): Promise<void> => {
        // Vitest and node:test give each test a context that can skip it for a reason.
        ;(context[0] as { skip?: (reason: string) => void } | undefined)?.skip?.(reason)
      }
      ;(test.skip ?? test)(`${title} (skipped: ${reason})`, leaveOut)
    }
  }
  return { tried, skipped }
}

const tryLaw = async (law: Law, world: World): Promise<void> => {
  const restore = overhearConsole(world.printed)
  try {
    await law.holds(world)
  } catch (error) {
    // A runner prints it, perhaps into a log that many read.
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    const hidden = (world.fixture.secrets ?? []).reduce((text, secret) => text.replaceAll(secret, "…"), text)
    throw hidden === text ? error : new LawBroken(hidden)
  } finally {
    restore()
  }
}

type Hear = (args: readonly unknown[]) => void
// Suites may run beside each other, and whoever came last need not be the first to go.
const hearing = new Set<Hear>()
let silenced = (): void => {}

const overhearConsole = (printed: unknown[]): (() => void) => {
  const hear: Hear = (args) => void printed.push(...args)
  if (hearing.size === 0) silenced = listen(console)
  hearing.add(hear)
  return () => {
    hearing.delete(hear)
    if (hearing.size === 0) silenced()
  }
}

const listen = (console: Console): (() => void) => {
  const methods = ["debug", "error", "info", "log", "trace", "warn"] as const
  const originals = methods.map((method) => [method, console[method]] as const)
  for (const [method, original] of originals) {
    console[method] = (...args: unknown[]) => {
      for (const hear of hearing) hear(args)
      original.apply(console, args)
    }
  }
  return () => {
    for (const [method, original] of originals) console[method] = original
  }
}

/** Why a law cannot be tried. */
const lacks = ({ fixture }: World, need: Need): string | undefined => {
  if (need === "webSocket") {
    return fixture.provider.capabilities.webSocket ? undefined : "the platform carries no WebSockets"
  }
  if (need === "wake") {
    const { wake } = fixture.provider.capabilities
    return wake === "start" ? undefined : `capabilities.wake is ${wake}`
  }
  const [, member] = need.split("provider.")
  if (member !== undefined) {
    const has = fixture.provider[member as "status" | "start" | "keepAlive" | "watch" | "classify"] !== undefined
    return has ? undefined : `the provider has no ${member}`
  }
  const value = fixture[need as Exclude<Need, `provider.${string}` | "webSocket" | "wake">]
  return value === undefined ? `the fixture has no ${need}` : undefined
}
