import { defineGrammar, parse, parseCustomDomain, url } from "../src/hostname.ts"
import type { Grammar, GrammarOptions, TargetInput } from "../src/hostname.ts"
import file from "./hostnames.json" with { type: "json" }

type Fields = Readonly<Record<string, unknown>>
interface Case {
  readonly host: string
  readonly expect: Fields
}
export interface Vectors {
  readonly grammar: GrammarOptions
  readonly cases: readonly Case[]
  readonly customDomain: { readonly domain: string; readonly cases: readonly Case[] }
  readonly urls: readonly { readonly target: Fields; readonly url: string }[]
}

// JSON has no tuples: the file's `domains` is checked by defineGrammar when it runs.
export const vectors = file as unknown as Vectors

export const count = (given: Vectors): number =>
  given.cases.length + given.customDomain.cases.length + given.urls.length

/** Runs every vector with nothing but the language, so that any runtime can. One sentence per failure. */
export const check = (given: Vectors = vectors): string[] => {
  const grammar = defineGrammar(given.grammar)
  const { domain, cases } = given.customDomain
  const failures: string[] = []
  const compare = (name: string, actual: unknown, expected: unknown) => {
    const [a, b] = [JSON.stringify(actual), JSON.stringify(expected)]
    if (a !== b) failures.push(`${name}: ${a}, expected ${b}`)
  }
  for (const { host, expect } of given.cases) compare(host, view(parse(grammar, host)), sorted(expect))
  for (const { host, expect } of cases) {
    const isTarget = expect["tag"] === "Target"
    const placed = isTarget ? { ...expect, customDomain: domain } : expect
    compare(host, view(parseCustomDomain(grammar, host, domain)), sorted(placed))
  }
  for (const { target, url: expected } of given.urls) {
    const { path, ...rest } = target
    const made = url(grammar, rest as unknown as TargetInput, path as string | undefined)
    compare(expected, made instanceof URL ? made.href : made, expected)
  }
  compare("xn--a.com", unusual(grammar), true)
  return failures
}

/** Whether an invalid `xn--` label of a custom domain, which only some URL parsers refuse, is an outcome everywhere. */
const unusual = (grammar: Grammar): boolean => {
  try {
    const made = url(grammar, { kind: "project", customDomain: "xn--a.com" })
    return made instanceof URL || made._tag === "HostnameMalformed"
  } catch {
    return false
  }
}

/** Every key of a target, so that a key too many fails; tag and part of a refusal. */
const view = (outcome: ReturnType<typeof parse> | ReturnType<typeof parseCustomDomain>): Fields => {
  if (outcome._tag === "HostnameForeign") return { tag: "Foreign" }
  if (outcome._tag === "HostnameMalformed") return { part: outcome.part, tag: "Malformed" }
  const { _tag: tag, ...rest } = outcome
  return sorted({ tag, ...rest })
}

const sorted = (fields: Fields): Fields =>
  Object.fromEntries(Object.entries(fields).toSorted(([a], [b]) => (a < b ? -1 : 1)))
