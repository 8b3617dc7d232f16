/**
 * Hostname to route to machine to response. `createRouter` gives a fetch handler for Workers, Bun and Deno; `serveNode` of
 * `./node` mounts the same router on sockets; `./effect` has the program itself, with its services.
 */
import {
  accept,
  checkOptions,
  isThenable,
  nearest,
  validErrorDocs,
  validHeaderNames,
  validateSigningKey,
} from "@project-ingress/forward/internal"
import { machinesOptionChecks } from "@project-ingress/providers/internal"
import { errorTags } from "./error-response.ts"
import { isCookieIsolation, isReservedName } from "./hop/cookie-isolation.ts"
import { isFilterOption } from "./hop/filtered-fields.ts"
import { fetchHandler, visitorRequest } from "./hosts/fetch.ts"
import { holdingOptionChecks } from "./program/holding.ts"
import { enforcedSettings } from "./policies/policy.ts"
import { isVisitorId } from "./policies/visitor.ts"
import { makeProgram, registerProgram } from "./router-program.ts"
import type { Router, RouterOptions } from "./router-options.ts"
import { isGrammar } from "./stores/is-grammar.ts"

export { AccessDenied } from "./policies/access-denied.ts"
export { LoginRequired } from "./policies/login-required.ts"
export { PolicyError } from "./policies/policy-error.ts"
export type { PolicyErrorFields } from "./policies/policy-error.ts"
export type { CookieIsolation } from "./hop/cookie-isolation.ts"
export type { FilteredField } from "./hop/filtered-fields.ts"
export type { CookieIsolatedEvent } from "./hop/isolation-events.ts"
export type { HeaderEdit } from "./policies/header-edit.ts"
export type {
  EnforcedSetting,
  Outcome,
  Policy,
  PolicyInput,
  PolicyRequest,
  ResponseSummary,
  Route,
} from "./policies/policy.ts"
export type { Inspection, ListeningPort, ListeningPorts } from "./policies/inspection.ts"
export type { Visitor } from "./policies/visitor.ts"
export type { ErrorResponses, FailedRequest } from "./error-response.ts"
export type { RouterError } from "./errors.ts"
export type { Activity, ActivityOptions } from "./program/activity.ts"
export type { HoldingOptions } from "./program/holding.ts"
export type { Balancer, MachineHealthEvent, MakeBalancer } from "./program/balancing.ts"
export type { ExplainedRequest, ExplainOptions } from "./program/explained-request.ts"
export type { ExplainedSettings, Explanation, ExplainedStop } from "./program/explanation.ts"
export type { RegionEvent } from "./program/arrived-hop.ts"
export type { Regions } from "./program/region-hops.ts"
export type { TraceStep } from "./program/trace.ts"
export type { Withdrawal, Withdrawn, WithdrawnMachine } from "./program/withdraw.ts"
export type {
  AccessWithdrawnEvent,
  BoundEvent,
  ClientBoundsEvent,
  Instrument,
  RedirectLoopEvent,
  RequestEvent,
  RequestInstrument,
  Router,
  RouterEvent,
  RouterOptions,
} from "./router-options.ts"
export type { FirstLookup, Lookup, LookupOptions, RouteKey, RouteRecord, RouteStore } from "./stores/route-store.ts"
export type { HeaderRules, HealthCheck, PortSettings, Rule } from "./stores/record.ts"
export type { StoreEvent } from "./stores/store-event.ts"

/**
 * Makes a router. Opens nothing and starts nothing.
 *
 * @throws {TypeError} naming the option that is wrong or unknown, and what is accepted
 *
 * @example
 * const router = createRouter({ grammar, store, providers: [fly({ token })], signingKey })
 * export default { fetch: async (request, _, context) => (await router.fetch(request, context)) ?? app.fetch(request) }
 */
export const createRouter = (options: RouterOptions): Router => {
  if (options?.machines !== undefined)
    checkOptions("createRouter", options.machines, machinesChecks, { at: "machines" })
  checkOptions("createRouter", options, checks, { required: ["grammar", "store", "providers", "signingKey"] })
  options.policies?.forEach((policy, at) => checkPolicy(policy, `policies[${at}]`))
  const problem = validateSigningKey(options.signingKey)
  if (problem !== undefined) throw new TypeError(`createRouter: signingKey: ${problem}`)
  const program = makeProgram(options)
  const { balancing } = program
  balancing.balancer = options.balancer?.(program)
  const router: Router = {
    fetch: fetchHandler(program),
    explain: async (asked, options) =>
      typeof asked === "string"
        ? program.explain(asked, options)
        : program.explain(visitorRequest(asked, program), { policies: true, ...options }),
    withdraw: async (hostname, withdrawal) => {
      checkOptions("withdraw", withdrawal, withdrawalChecks, { required: ["sessions"] })
      return program.withdraw(hostname, withdrawal)
    },
    watch: ({ signal }) => program.watch(signal),
    dispose: async () => {
      balancing.balancer?.dispose()
      await options.store.dispose?.()
    },
  }
  return registerProgram(router, program)
}

const has = (value: unknown, ...methods: readonly string[]): boolean =>
  typeof value === "object" &&
  value !== null &&
  methods.every((name) => typeof (value as Readonly<Record<string, unknown>>)[name] === "function")

const phases = {
  onRequest: accept.function,
  onRoute: accept.function,
  onForward: accept.function,
  onResponse: accept.function,
}
const policyChecks = {
  name: accept.string,
  enforces: accept.array(accept.oneOf(...enforcedSettings)),
  reservedCookies: accept.array(isReservedName),
  needsVisitor: accept.boolean,
  explainable: (value: unknown) =>
    typeof value === "boolean" || typeof value === "function" ? undefined : "true, false or a function",
  ...phases,
}

/** A misspelt phase would be a guard that is never asked. */
const checkPolicy = (policy: unknown, at: string): void => {
  if (typeof policy === "function") return
  checkOptions("createRouter", policy, policyChecks, { required: ["name"], at })
  if (Object.keys(phases).every((phase) => (policy as Readonly<Record<string, unknown>>)[phase] === undefined)) {
    throw new TypeError(`createRouter: ${at} must have one of ${Object.keys(phases).join(", ")}`)
  }
}

const isSessions = (value: unknown): string | undefined =>
  value === "all" || (Array.isArray(value) && value.length <= 1_000 && value.every(isVisitorId))
    ? undefined
    : 'at most 1000 ids of visitors, or "all"'

const withdrawalChecks = {
  sessions: isSessions,
  signal: (value: unknown) => (value instanceof AbortSignal ? undefined : "an AbortSignal"),
}

const isErrorResponses = (value: unknown): string | undefined => {
  const isMap = typeof value === "object" && value !== null && !Array.isArray(value)
  if (!isMap || !Object.values(value).every((each) => typeof each === "function")) return "an object of functions"
  // Policies and engines have tags of their own, so only what is nearly one of ours is a mistake.
  const meant = Object.keys(value).map((tag) => (errorTags.includes(tag) ? undefined : nearest(tag, errorTags, 2)))
  const at = meant.findIndex((tag) => tag !== undefined)
  return at === -1 ? undefined : `by the tags of errors: ${meant[at]}, not ${Object.keys(value)[at]!.slice(0, 64)}`
}

// The router gives these itself.
const { headerNames: _, onEvent: __, ...ofMachines } = machinesOptionChecks
const machinesChecks = { ...ofMachines, ...holdingOptionChecks }

const checks = {
  grammar: (value: unknown) => (isGrammar(value) ? undefined : "what defineGrammar returns"),
  store: (value: unknown) => (has(value, "get") ? undefined : "a route store: an object with get"),
  providers: accept.array(),
  signingKey: (value: unknown) => (isThenable(value) ? "a key and no promise: await it" : accept.object(value)),
  unprovenMachines: accept.boolean,
  machines: accept.object,
  regions: (value: unknown) => (has(value, "hops") ? undefined : "what regions returns"),
  policies: accept.array(),
  balancer: accept.function,
  headerNames: validHeaderNames,
  isolateCookies: isCookieIsolation,
  filterResponseHeaders: isFilterOption,
  headersTimeoutMs: accept.number(0, 86_400_000),
  transport: accept.function,
  clientAddress: accept.function,
  publicPorts: accept.array(accept.integer(1, 65_535)),
  errorResponses: isErrorResponses,
  errorDocs: validErrorDocs,
  onError: accept.function,
  onEvent: accept.function,
  onActivity: accept.function,
  activityIntervalMs: accept.number(1_000, 86_400_000),
  instrument: (value: unknown) => (has(value, "begin") ? undefined : "what observe returns as instrument"),
} as const
