import { accept, checkOptions } from "@project-ingress/forward/internal"
import { makeAfterFailure } from "./after-failure.ts"
import { LawBroken, within } from "./assert.ts"
import { recordConsole } from "./console.ts"
import { makeContext } from "./context.ts"
import type { LawContext } from "./context.ts"
import type { Fixture, Need } from "./fixture.ts"
import type { Law } from "./law.ts"
import { carries } from "./laws/carries.ts"
import { effect } from "./laws/effect.ts"
import { http } from "./laws/http.ts"
import { identity } from "./laws/identity.ts"
import { platform } from "./laws/platform.ts"
import { recordedSecrets, secrets } from "./laws/secrets.ts"
import { machineStates, removal } from "./laws/states.ts"
import { time } from "./laws/time.ts"
import { wake } from "./laws/wake.ts"
import { webSocket } from "./laws/websocket.ts"

/** The law that all others build on: where it is broken, none of them is run. */
const { "identity.reaches": first, ...otherIdentity } = identity

/** In the order in which they are checked: a removed machine does not come back, and the last two read everything recorded. */
const all = {
  "identity.reaches": first,
  ...otherIdentity,
  ...http,
  ...time,
  ...webSocket,
  ...carries,
  ...machineStates,
  ...wake,
  ...platform,
  ...effect,
  ...secrets,
  ...removal,
  ...recordedSecrets,
} satisfies Record<string, Law>

/** The stable name of a law: `identity.mismatch`. */
export type LawName = keyof typeof all

/** Every law's claim by its name. */
export const laws: Readonly<Record<LawName, string>> = Object.fromEntries(
  Object.entries(all).map(([name, { claim }]) => [name, claim]),
) as Record<LawName, string>

/** What registers a test in the caller's runner: vitest's `it`, `test` of node:test or of bun:test, `Deno.test`. */
export interface TestRunner {
  (name: string, run: () => Promise<void>): unknown
  /**
   * Registers the laws that are skipped; the reason is in the name. Without it they are registered as tests that ask the
   * runner's context to skip them, as vitest and node:test provide one, and that pass elsewhere.
   */
  readonly skip?: (name: string, run: () => Promise<void>) => unknown
}

/** Options of {@link providerSuite}. */
export interface SuiteOptions {
  /** Laws that this provider does not keep, each with the reason: `{ "http.gzip": "the edge decodes bodies" }`. */
  readonly skip?: Partial<Readonly<Record<LawName, string>>>
  /** How long one law may take, in ms. Default 60 000. */
  readonly lawTimeoutMs?: number
}

/** Which laws were registered, and how. */
export interface SuiteReport {
  /** Laws that are checked. */
  readonly tried: readonly LawName[]
  /** Laws that are skipped, each with the reason. */
  readonly skipped: Partial<Readonly<Record<LawName, string>>>
}

/**
 * The conformance suite of providers: registers one test for each law in the caller's runner. `setup` is called once, at once;
 * what it opened is the caller's to close, after the tests. The laws share its fixture and are checked one after the other, in
 * any runner.
 *
 * The first of them sends one request to the fixture's machine. If no response of that machine comes, it fails with the cause,
 * and the laws after it are not run: they skip themselves in runners whose tests can, and fail with one sentence elsewhere.
 *
 * Rejects with a `TypeError` when an option is unknown or invalid, `skip` names no law or gives no reason, or `setup` gives no
 * fixture, and with the error of `setup`.
 *
 * @example
 * await providerSuite(it, async () => ({ provider: nimbus({ apiKey }), machine, signingKey, secrets: [apiKey] }))
 */
export const providerSuite = async (
  test: TestRunner,
  setup: () => Fixture | Promise<Fixture>,
  options: SuiteOptions = {},
): Promise<SuiteReport> => {
  checkOptions("providerSuite", options, { skip: accept.object, lawTimeoutMs: accept.number(1) })
  const { skip = {}, lawTimeoutMs = 60_000 } = options
  for (const [name, reason] of Object.entries(skip)) {
    if (!Object.hasOwn(all, name)) throw new TypeError(`providerSuite: skip: there is no law ${JSON.stringify(name)}`)
    if (typeof reason !== "string" || reason.trim() === "") {
      throw new TypeError(`providerSuite: skip: ${name} needs a reason`)
    }
  }
  const fixture = await setup()
  if (typeof fixture?.provider?.resolve !== "function" || typeof fixture.machine !== "object") {
    throw new TypeError("providerSuite: setup must give a fixture with a provider and a machine")
  }
  const context = makeContext(fixture)
  const tried: LawName[] = []
  const skipped: Partial<Record<LawName, string>> = {}
  const afterFailure = makeAfterFailure(context)
  const served = servedOnce(context, Object.hasOwn(skip, "identity.reaches"))
  let previous: Promise<unknown> = Promise.resolve()
  for (const [key, law] of Object.entries(all)) {
    const name = key as LawName
    const title = `${name}: ${law.claim}`
    const reason = skip[name] ?? law.needs.map((need) => lack(context, need)).find((found) => found !== undefined)
    if (reason === undefined) {
      tried.push(name)
      test(title, (...args: unknown[]) => {
        const run = async (): Promise<void> => {
          const ready = name in recordedSecrets ? undefined : afterFailure.recover
          if (await served()) return checkLaw(law, context, ready)
          // What is not run has not passed either.
          if (!skipItself(args, NOT_RUN)) throw new LawBroken(NOT_RUN)
        }
        // Laws stop machines; a runner that starts all tests at once must not run two laws together.
        const checked = previous.then(() => within(lawTimeoutMs, run(), name))
        previous = checked.catch(() => afterFailure.failed(name))
        return checked
      })
    } else {
      skipped[name] = reason
      ;(test.skip ?? test)(`${title} (skipped: ${reason})`, async (...args: unknown[]) => void skipItself(args, reason))
    }
  }
  return { tried, skipped }
}

const NOT_RUN = "not run: the fixture's machine gave no response to a first request, as the law before this one reports"

/** Vitest and node:test give each test a context that can skip it for a reason. Gives whether the runner is one of these. */
const skipItself = ([context]: readonly unknown[], reason: string): boolean => {
  const { skip } = (context ?? {}) as { readonly skip?: unknown }
  if (typeof skip !== "function") return false
  skip.call(context, reason)
  return true
}

/**
 * Whether the fixture's machine responds to a request, found out by the first law that is run, whichever a runner's filter
 * leaves: that one rejects with the cause, so that it is reported once. `unchecked`: the caller skips the law that says so.
 */
const servedOnce = (context: LawContext, unchecked: boolean): (() => Promise<boolean>) => {
  let found: boolean | undefined = unchecked || undefined
  return async () => {
    if (found !== undefined) return found
    found = false
    await checkLaw(first, context).catch((error: unknown) => {
      const text = `no response of the fixture's machine came to a first request, so that no other law is run: ${reasonsOf(error)}`
      const hidden = withoutSecrets(context, text)
      throw new LawBroken(hidden, hidden === text ? { cause: error } : undefined)
    })
    return (found = true)
  }
}

/** An error with its causes: what an adapter throws is the cause of the contract's error. */
const reasonsOf = (error: unknown, depth = 0): string => {
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
  if (!(error instanceof Error) || error.cause === undefined || depth > 4) return text
  return `${text}, because of ${reasonsOf(error.cause, depth + 1)}`
}

const withoutSecrets = ({ fixture }: LawContext, text: string): string =>
  (fixture.secrets ?? []).reduce((text, secret) => text.replaceAll(secret, "…"), text)

/** `ready`: what has to succeed before. */
const checkLaw = async (law: Law, context: LawContext, ready?: () => Promise<void>): Promise<void> => {
  const stopRecording = recordConsole(context.printed)
  try {
    await ready?.()
    await law.check(context)
  } catch (error) {
    // A runner prints it, perhaps into a public log.
    const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error)
    const hidden = withoutSecrets(context, text)
    throw hidden === text ? error : new LawBroken(hidden)
  } finally {
    stopRecording()
  }
}

/** Why a law cannot be checked with this fixture; `undefined` when it can. */
const lack = ({ fixture }: LawContext, need: Need): string | undefined => {
  if (need === "webSocket") {
    return fixture.provider.capabilities.webSocket ? undefined : "the platform does not support WebSockets"
  }
  if (need === "wake") {
    const { wake } = fixture.provider.capabilities
    return wake === "start" ? undefined : `capabilities.wake is ${wake}`
  }
  if (need === "down") {
    return fixture.stop === undefined && fixture.suspend === undefined
      ? "the fixture has no stop and no suspend"
      : undefined
  }
  if (need === "carries.trailers" || need === "carries.duplex") {
    const carried = fixture.provider.capabilities.carries?.[need === "carries.trailers" ? "trailers" : "duplex"]
    return carried === true ? undefined : `capabilities.${need} is not true`
  }
  const [, member] = need.split("provider.")
  if (member !== undefined) {
    const has = fixture.provider[member as "status" | "start" | "keepAlive" | "watch" | "classify"] !== undefined
    return has ? undefined : `the provider has no ${member}`
  }
  const value =
    fixture[need as Exclude<Need, `provider.${string}` | `carries.${string}` | "webSocket" | "wake" | "down">]
  return value === undefined ? `the fixture has no ${need}` : undefined
}
