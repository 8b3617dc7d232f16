import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredMatch, DeclaredRule } from "../resource/ingress.ts"

/** Rules, found by what they take. */
export interface ClashIndex<Placed extends PlacedRule> {
  readonly add: (placed: Placed) => void
  readonly remove: (placed: Placed) => void
  /** One of those that cannot stand beside a rule, but for those of the ingress `except`. However many there are, a few are looked at. */
  readonly find: (rule: DeclaredRule, owner: string | undefined, except: string | undefined) => Placed | undefined
}

/** A rule, and the ingress that it is of. */
export interface PlacedRule {
  readonly ingress: Pick<DeclaredIngress, "id" | "owner">
  readonly rule: DeclaredRule
}

export const clashIndex = <Placed extends PlacedRule>(): ClashIndex<Placed> => {
  // By what clashes are looked for under, then by owner: whether one rule of an owner is in the way, all of them are.
  const places = new Map<string, Map<string | undefined, Set<Placed>>>()
  return {
    add: (placed) => {
      for (const place of placesOf(placed.rule)) {
        const owners = got(places, place, () => new Map<string | undefined, Set<Placed>>())
        got(owners, placed.ingress.owner, () => new Set<Placed>()).add(placed)
      }
    },
    remove: (placed) => {
      const { owner } = placed.ingress
      for (const place of placesOf(placed.rule)) {
        const owners = places.get(place)
        const rules = owners?.get(owner)
        rules?.delete(placed)
        if (rules?.size === 0) owners?.delete(owner)
        if (owners?.size === 0) places.delete(place)
      }
    },
    find: (rule, owner, except) => {
      for (const place of searchedBy(rule)) {
        for (const rules of places.get(place)?.values() ?? []) {
          for (const placed of rules) {
            if (placed.ingress.id === except) continue
            if (clashes(rule, placed.rule, placed.ingress.owner === owner)) return placed
            break
          }
        }
      }
      return undefined
    },
  }
}

const PROTOCOLS = ["http", "tcp", "udp"] as const

/** Where a rule is found: by its port, as one that needs all of it, by its hostname there, and by what it takes of that. */
const placesOf = (rule: DeclaredRule): readonly string[] => {
  const { match } = rule
  const listener = `${match.protocol} ${matchPort(rule)}`
  const hostname = hostnameAt(listener, match)
  return [listener, ...(isBySni(rule) ? [] : [`${listener} alone`]), hostname, `${hostname} ${taken(match)}`]
}

/** Where what clashes with a rule is found. Names tell rules of HTTP apart: of those nothing but the hostname counts. */
const searchedBy = (rule: DeclaredRule): readonly string[] => {
  const { match } = rule
  return PROTOCOLS.flatMap((protocol) => {
    if ((protocol === "udp") !== (match.protocol === "udp")) return []
    const listener = `${protocol} ${matchPort(rule)}`
    const hostname = hostnameAt(listener, match)
    const named = [hostname, `${hostname} ${taken(match)}`]
    if (protocol === "http" && match.protocol === "http") return named
    return [isBySni(rule) ? `${listener} alone` : listener, ...named]
  })
}

const hostnameAt = (listener: string, { hostname }: DeclaredMatch): string => `${listener} @${hostname?.wildcard ?? ""}`

/** What a match takes of its hostname. Two with one text take the same requests. */
const taken = ({ path, method, headers = {} }: DeclaredMatch): string =>
  JSON.stringify([path, method, Object.entries(headers).toSorted(([a], [b]) => (a < b ? -1 : 1))])

/**
 * Whether two rules cannot stand beside each other.
 *
 * A hostname on a port has one owner, whose rules differ by path, method or headers. A UDP port has one rule. HTTP and TCP share a
 * port only where the name in the ClientHello tells them apart, and so do two owners of a TCP port.
 */
const clashes = (one: DeclaredRule, other: DeclaredRule, isSameOwner: boolean): boolean => {
  const [a, b] = [one.match, other.match]
  if (a.protocol === "udp") return true
  const isMixed = a.protocol !== b.protocol
  if (a.hostname?.wildcard === b.hostname?.wildcard) return isMixed || !isSameOwner || taken(a) === taken(b)
  return (isMixed || !isSameOwner) && needsPort(one, other)
}

/** Whether one of two rules, not both of HTTP, takes what no name tells apart. */
const needsPort = (one: DeclaredRule, other: DeclaredRule): boolean => {
  if (one.match.protocol === "http" && other.match.protocol === "http") return false
  return !(isBySni(one) && isBySni(other))
}

const isBySni = ({ match, tls = false, passthrough = false }: DeclaredRule): boolean =>
  match.hostname !== undefined && (tls || passthrough)

const got = <Key, Value>(map: Map<Key, Value>, key: Key, make: () => Value): Value => {
  const known = map.get(key)
  if (known !== undefined) return known
  const made = make()
  map.set(key, made)
  return made
}
