import type { Grammar, RouteKey } from "@project-ingress/hostname"
import type { FirstLookup, Lookup, LookupOptions, RouteRecord, RouteStore } from "@project-ingress/router"
import type { HostnamePattern } from "../resource/ingress.ts"
import { compareHostnames } from "../resource/precedence.ts"
import { isWildcard, matchHostname, readPattern } from "../resource/hostname-pattern.ts"
import { indexHostnames } from "./hostname-index.ts"
import type { DeclaredHostname, HostnameIndex, PlacedRule } from "./hostname-index.ts"
import type { IngressView } from "./ingress-view.ts"
import { composedRecord } from "./records.ts"
import type { FoundRule } from "./records.ts"
import { findTarget } from "./target-record.ts"
import type { FoundTarget, TargetLookup } from "./target-record.ts"

/** What {@link ingressStore} reads. */
export interface IngressStoreOptions {
  readonly grammar: Grammar
  /** What is declared now. */
  readonly view: () => IngressView
  /** The platform's own routes: machines, projects and verified domains. */
  readonly inner: RouteStore
  /** The port that visitors connect to, by the port that the router listens on. Default: the same. */
  readonly publicPorts?: Readonly<Record<number, number>>
  /** Default `Date.now`. */
  readonly now?: () => number
}

/**
 * The platform's routes and the hostnames of ingresses, as one store. Names of the platform and verified domains of projects come first;
 * an ingress takes a hostname before them only where it is more specific, and of the same owner or the operator's.
 */
export const ingressStore = ({
  grammar,
  view,
  inner,
  publicPorts = {},
  now: time = () => Date.now(),
}: IngressStoreOptions): RouteStore & Required<Pick<RouteStore, "getFirst">> => {
  const indexes = new WeakMap<IngressView, HostnameIndex>()
  const indexOf = (now: IngressView): HostnameIndex => {
    let index = indexes.get(now)
    if (index === undefined) indexes.set(now, (index = indexHostnames(now.ingresses)))
    return index
  }

  // A record that is the same object is decoded once. One for each place: a pattern keeps that of its last visitor.
  const composed = new WeakMap<
    readonly PlacedRule[],
    { readonly parts: readonly unknown[]; readonly record: RouteRecord }
  >()
  const recordOf = (revision: number, chosen: ChosenRules["rules"], rules: FoundRules): RouteRecord => {
    const parts = [revision, ...rules.flatMap(({ found }) => found.map(({ record }) => record))]
    const known = composed.get(chosen)
    if (known?.parts.length === parts.length && parts.every((part, at) => part === known.parts[at])) return known.record
    const record = composedRecord(revision, rules)
    composed.set(chosen, { parts, record })
    return record
  }

  const first = async (keys: readonly RouteKey[], options: LookupOptions): Promise<FirstLookup> => {
    const known = await firstOf(inner, keys, options)
    if (known.status === "unknown") return known
    const asked = askedHostname(keys)
    if (asked === undefined) return known
    const now = view()
    const port = asked.port === undefined ? undefined : (publicPorts[asked.port] ?? asked.port)
    const rulesOf = (each: DeclaredHostname) => chooseRules(each, asked.hostname, port)
    const declared = indexOf(now).find(asked.hostname, (each) => rulesOf(each) !== undefined)
    const chosen = declared && rulesOf(declared)
    if (declared === undefined || chosen === undefined) return known
    const { ingress } = chosen.rules[0]
    if (known.status === "hit" && !comesFirst(declared, ingress.owner, asked.hostname, known)) return known
    const key = keyOf(declared.pattern, keys)
    if (chosen.redirect !== undefined) {
      const record: RouteRecord = { kind: "redirect", version: now.revision, epoch: 0, ...chosen.redirect }
      return { status: "hit", key, record, layer: "ingress" }
    }
    const captures = (pattern: HostnamePattern) => matchHostname(pattern, asked.hostname) ?? {}
    const asking = new Map<RouteKey, Promise<Lookup>>()
    const get: TargetLookup["get"] = (key) => {
      const same = asking.get(key) ?? Promise.resolve(inner.get(key, options))
      asking.set(key, same)
      return same
    }
    const lookup: TargetLookup = { grammar, get, grants: now.grants, now: time }
    const found = await findRules(lookup, chosen.rules, captures)
    if ("unknown" in found) return { ...found.unknown, key }
    const targets = found.rules.flatMap(({ found: each }) => each)
    return { status: "hit", key, record: recordOf(now.revision, chosen.rules, found.rules), ...sourceOf(targets) }
  }

  return {
    get: (key, options) => (key.startsWith("d:") ? first([key], options) : inner.get(key, options)),
    getFirst: (keys, options) =>
      keys[0]?.startsWith("d:") === true ? first(keys, options) : firstOf(inner, keys, options),
    ...(inner.stats === undefined ? {} : { stats: () => inner.stats!() }),
    ...(inner.dispose === undefined ? {} : { dispose: () => inner.dispose!() }),
  }
}

/** The first key that a store knows. */
const firstOf = async (store: RouteStore, keys: readonly RouteKey[], options: LookupOptions): Promise<FirstLookup> => {
  const many = keys.length > 1 ? await store.getFirst?.(keys, options) : undefined
  if (many !== undefined) return many
  for (const key of keys) {
    const found: Lookup = await store.get(key, options)
    if (found.status !== "miss") return { ...found, key }
  }
  return { status: "miss" }
}

/**
 * The hostname that keys were made of, which `candidates` puts first: as a whole, and before that on its listening port. A name whose
 * first label was taken for a port was not declared by an ingress.
 */
const askedHostname = (
  keys: readonly RouteKey[],
): { readonly hostname: string; readonly port?: number } | undefined => {
  const [, port, hostname = ""] = /^d:(?:(\d+):)?(.*)$/.exec(keys[0]!) ?? []
  if (hostname === "" || hostname.startsWith("*")) return undefined
  return port === undefined ? { hostname } : { hostname, port: Number(port) }
}

type FoundRules = readonly [FoundRule, ...FoundRule[]]

/**
 * The key that a hostname is known by: of a pattern the one of its wildcard, since tickets are signed for keys, and a name that a
 * visitor has made up must cause no signature.
 */
const keyOf = ({ wildcard }: HostnamePattern, keys: readonly RouteKey[]): RouteKey => {
  const name = wildcard.includes("*") ? wildcard.slice(wildcard.lastIndexOf("*")) : wildcard
  return keys.find((key) => key === `d:${name}`) ?? keys[0]!
}

interface ChosenRules {
  readonly rules: readonly [PlacedRule, ...PlacedRule[]]
  readonly redirect?: { readonly to: string; readonly status: 301; readonly visibility: "public" }
}

/**
 * The rules of a port. Where the port is not known, as in a Worker, it is the one of https, else that of http. On port 80 whatever has
 * `redirectHttp` is redirected, unless rules of its own are declared there.
 */
const chooseRules = (
  { ports }: DeclaredHostname,
  hostname: string,
  port: number | undefined,
): ChosenRules | undefined => {
  const rulesAt = (at: number) => ports.get(at) as ChosenRules["rules"] | undefined
  const rules = port === undefined ? (rulesAt(443) ?? rulesAt(80)) : rulesAt(port)
  if (rules !== undefined) return { rules }
  if (port !== 80 && port !== undefined) return undefined
  for (const [to, secure] of [...ports].toSorted(([a], [b]) => a - b)) {
    const placed = secure.find(({ rule }) => rule.redirectHttp === true)
    if (placed === undefined) continue
    const location = `https://${hostname}${to === 443 ? "" : `:${to}`}`
    return { rules: [placed], redirect: { to: location, status: 301, visibility: "public" } }
  }
  return undefined
}

/** Whether an ingress takes a hostname that leads somewhere without it, too. */
const comesFirst = (
  { pattern }: DeclaredHostname,
  owner: string | undefined,
  hostname: string,
  known: Extract<FirstLookup, { readonly status: "hit" }>,
): boolean => {
  if (owner !== undefined && known.record.owner !== owner) return false
  const name = /^d:(?:\d+:)?(.*)$/.exec(known.key ?? "")?.[1] ?? hostname
  if (!name.startsWith("*")) return !isWildcard(pattern) && name !== hostname
  const other = readPattern(name)
  return !("accepted" in other) && compareHostnames(pattern, other) < 0
}

const findRules = async (
  lookup: TargetLookup,
  rules: ChosenRules["rules"],
  captures: (pattern: HostnamePattern) => Readonly<Record<string, string>>,
): Promise<{ readonly rules: FoundRules } | { readonly unknown: Extract<Lookup, { readonly status: "unknown" }> }> => {
  const all: FoundRule[] = []
  for (const placed of rules) {
    const values = captures(placed.rule.match.hostname!)
    const found: FoundTarget[] = []
    for (const target of placed.rule.targets) {
      const result = await findTarget(lookup, placed, target, values)
      if ("unknown" in result) return result
      found.push(result)
    }
    all.push({ ...placed, found })
  }
  return { rules: all as [FoundRule, ...FoundRule[]] }
}

/** `ingress+postgres`: of an ingress, and the layer that knew the first of its targets; with the oldest age. */
const sourceOf = (targets: readonly FoundTarget[]): { readonly layer: string; readonly ageMs?: number } => {
  const known = targets.find((target) => target.layer !== undefined)?.layer
  const layer = known === undefined ? "ingress" : `ingress+${known}`
  const ages = targets.flatMap(({ ageMs }) => ageMs ?? [])
  return ages.length === 0 ? { layer } : { layer, ageMs: Math.max(...ages) }
}
