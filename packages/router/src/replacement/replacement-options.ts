import type { HopHeaderNames, SigningKey } from "@project-ingress/forward"
import {
  accept,
  checkOptions,
  isThenable,
  validHeaderNames,
  validateSigningKey,
} from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { MachineProvider } from "@project-ingress/providers"
import type { ProbeResult } from "./probe-machine.ts"
import type { Expectation } from "./probe-machine.ts"

/** What `replaceMachine` takes. */
export interface ReplacementOptions {
  /** The project's id or its current name. */
  readonly project: string
  /** The id of the new machine. It is registered (`putMachine`) and has the project's owner. */
  readonly machine: string
  /** Those of the router: one of them runs the new machine. */
  readonly providers: readonly MachineProvider[]
  /** The router's own, which signs the tickets of the probes. */
  readonly signingKey: SigningKey
  /** As for `createRouter`: whether machines are believed that cannot prove which one they are. Default false. */
  readonly unprovenMachines?: boolean
  /** As for `createRouter`. */
  readonly headerNames?: HopHeaderNames
  /** The port that is probed, 1 to 65535. Default: the project's, or 3000. */
  readonly port?: number
  /** Path and query of a probe, which is a `GET`. Default `/`. */
  readonly path?: string
  /**
   * The statuses of an app that is ready, or a function that decides about the response; one that throws or rejects counts as false.
   * Default: 200 to 399.
   */
  readonly expect?: Expectation
  /** How many probes in a row must be as expected, 1 or more. Default 2. */
  readonly successes?: number
  /** How long it is waited between two probes, in ms. 0 or more, default 500. */
  readonly intervalMs?: number
  /** How long one probe may take, in ms. 1 or more, default 10 000. */
  readonly probeTimeoutMs?: number
  /** How long the new machine has until it is ready, in ms. 1 or more, default 120 000. */
  readonly deadlineMs?: number
  /**
   * How long the old machine is still needed after the switch: until each router knows the new route and the last request to the old machine
   * is over. In ms, 0 or more; or a function that resolves then, and obeys the signal. Default 30 000.
   */
  readonly drain?: number | ((switched: Switched, signal: AbortSignal) => PromiseLike<unknown>)
  /**
   * How many probes in a row must fail while the old machine is drained for the project to be given back to it, 1 or more. Default 3. False:
   * the new machine is not probed any more.
   */
  readonly rollBackAfter?: number | false
  /** The version of the project that the caller has seen. Default: the one that is read at the beginning. */
  readonly ifVersion?: number
  /** Called after each probe, and after each change of the project. What it throws is dropped. */
  readonly onProgress?: (progress: ReplacementProgress) => void
  /** Ends the replacement: the project keeps the machine that it has at that moment, the old or the new one. */
  readonly signal?: AbortSignal
}

/** A project that leads to its new machine. */
export interface Switched {
  /** The project's id. */
  readonly project: string
  /** The id of the new machine. */
  readonly machine: string
  /** The id of the old one. */
  readonly previous: string
}

/** Where a replacement is. */
export interface ReplacementProgress {
  /** `probing`: the new machine; `switched`: it is attached; `draining`: it is probed still; `rolled-back`: the old one is attached again. */
  readonly step: "probing" | "switched" | "draining" | "rolled-back"
  /** How many probes there were. */
  readonly attempts: number
  /** How many in a row were as expected, or in `draining` were not. */
  readonly inARow: number
  readonly last?: ProbeResult
  /** Since the beginning, in ms. */
  readonly elapsedMs: number
}

/** The longest that a timer can wait, in ms. */
const LONGEST_MS = 2_147_483_647

const optionChecks: Readonly<Record<keyof ReplacementOptions, OptionCheck>> = {
  project: accept.string,
  machine: accept.string,
  providers: accept.array(accept.object),
  signingKey: (value) => (isThenable(value) ? "a key and no promise: await it" : accept.object(value)),
  unprovenMachines: accept.boolean,
  headerNames: validHeaderNames,
  port: accept.integer(1, 65_535),
  path: (value) =>
    typeof value === "string" && /^\/[!-~]*$/.test(value)
      ? undefined
      : "a path that begins with /, with or without a query",
  expect: (value) => {
    const isList =
      Array.isArray(value) && value.length > 0 && accept.array(accept.integer(200, 599))(value) === undefined
    return isList || typeof value === "function" ? undefined : "statuses from 200 to 599, or a function"
  },
  successes: accept.integer(1),
  intervalMs: accept.number(0, LONGEST_MS),
  probeTimeoutMs: accept.number(1, LONGEST_MS),
  deadlineMs: accept.number(1, LONGEST_MS),
  drain: (value) =>
    typeof value === "function" || accept.number(0, LONGEST_MS)(value) === undefined
      ? undefined
      : `a number from 0 to ${LONGEST_MS}, or a function`,
  rollBackAfter: (value) =>
    value === false || accept.integer(1)(value) === undefined ? undefined : "an integer from 1 up, or false",
  ifVersion: accept.integer(0),
  onProgress: accept.function,
  signal: accept.object,
}

/** @throws {TypeError} naming the option that is unknown, missing or invalid */
export const checkReplacementOptions = (options: ReplacementOptions): void => {
  checkOptions("replaceMachine", options, optionChecks, {
    required: ["project", "machine", "providers", "signingKey"],
  })
  const problem = validateSigningKey(options.signingKey)
  if (problem !== undefined) throw new TypeError(`replaceMachine: signingKey: ${problem}`)
}
