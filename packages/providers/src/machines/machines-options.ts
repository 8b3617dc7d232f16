import { accept, checkOptions, validHeaderNames } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { HopHeaderNames } from "@project-ingress/forward"
import type { MachinesEvent } from "./background-events.ts"
import type { MachineProvider } from "../contract/machine-provider.ts"
import type { ReadinessProbe } from "./readiness-probe.ts"

/** How machines are reached. */
export interface MachinesOptions {
  /** Each with a `type` of its own. */
  readonly providers: readonly MachineProvider[]
  /** The names of our own headers; must be those of the machines. Default: `x-iterate-proxy-*`. */
  readonly headerNames?: HopHeaderNames | undefined
  /** How young a machine must be, in ms, for a refused connection to mean that it is still starting. 0 or more, 10 000. */
  readonly startupGraceMs?: number | undefined
  /** How long one call of a provider may take, in ms. 1 or more, 10 000. */
  readonly resolveTimeoutMs?: number | undefined
  /**
   * How often the API of each provider may be called (`resolve`, `status` and `start`), per minute and that many at once; an owner
   * may use a quarter of it. Set it below the vendor's own limit. Over it, endpoints count up to ten minutes beyond their time,
   * and what has none fails with `ProviderRateLimited`. 4 or more, 6 000.
   */
  readonly callsPerMinute?: number | undefined
  /** False: a machine that is not running is never started, and its requests fail with `MachineNotRunning`. True. */
  readonly wake?: boolean | undefined
  /** How long a request waits, in ms, for a machine that it started or found starting. 1 or more, 30 000. */
  readonly wakeTimeoutMs?: number | undefined
  /** How many requests wait for one machine to start; the next ones fail at once with `MachineStarting`. 0 or more, 1 000. */
  readonly wakeQueue?: number | undefined
  /** How many machines of one owner start at a time; requests for the next ones fail with `MachineStarting`. 1 or more, 250. */
  readonly maxStartsPerOwner?: number | undefined
  /**
   * Asks a machine that was just started whether it listens, so that no body is sent before it does. Default: a request of its
   * own with neither target nor ticket, which a machine's proxy refuses before any app sees it.
   */
  readonly readinessProbe?: ReadinessProbe | undefined
  /**
   * Called when `keepAlive`, `watch` or `start` of a provider begins to fail and when it works again, once per change of state;
   * and for each response with a wrong stamp and each ticket that a machine refused. What it throws is dropped.
   */
  readonly onEvent?: ((event: MachinesEvent) => void) | undefined
}

/** The longest that a timer can wait: a longer time would be over at once. */
export const MAX_TIMER_MS = 2_147_483_647

/** One check for each option but `providers`, which `validProviders` checks. */
export const machinesOptionChecks = {
  headerNames: validHeaderNames,
  startupGraceMs: accept.number(0, MAX_TIMER_MS),
  resolveTimeoutMs: accept.number(1, MAX_TIMER_MS),
  callsPerMinute: accept.integer(4),
  wake: accept.boolean,
  wakeTimeoutMs: accept.number(1, MAX_TIMER_MS),
  wakeQueue: accept.integer(0),
  maxStartsPerOwner: accept.integer(1),
  readinessProbe: accept.function,
  onEvent: accept.function,
} as const satisfies Record<Exclude<keyof MachinesOptions, "providers">, OptionCheck>

/**
 * Checks options of `makeMachines`; `owner` is the function that got them, for the message.
 *
 * @throws {TypeError} naming the option that is unknown, missing or invalid
 */
export const checkMachinesOptions = (owner: string, options: MachinesOptions): void =>
  checkOptions(owner, options, { ...machinesOptionChecks, providers: accept.array() }, { required: ["providers"] })
