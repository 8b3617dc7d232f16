import { accept } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import type { Grammar } from "@project-ingress/hostname"
import { isGrammar } from "../is-grammar.ts"
import type { ResolveTxt } from "../registry/domains.ts"
import type { SqlRegistrySettings } from "./sql-registry.ts"

/** What every registry in a database accepts. */
export interface SqlRegistryOptions {
  /** Says which names, machine ids and domains are valid, and which belong to the platform. */
  readonly grammar: Grammar
  /** Looks for the proofs of custom domains. Default: finds none, so that no domain is ever verified. */
  readonly resolveTxt?: ResolveTxt
  /** How long a name is kept from others after a rename or a removal, in ms. Default 30 days. */
  readonly quarantineMs?: number
  /** How long a verified domain leads on while its proof is missing, in ms. Default 7 days. */
  readonly domainGraceMs?: number
  /** How many changes the feed keeps, from 1 up. Default 10 000. */
  readonly keptChanges?: number
  /** How often a `changes` that waits looks for changes, in ms, 1 to 60 000. Default 1 000. */
  readonly pollMs?: number
  /** The time in ms since 1970. Default `Date.now`. */
  readonly now?: () => number
}

/** How each of them is checked. */
export const registryOptions: Readonly<Record<keyof SqlRegistryOptions, OptionCheck>> = {
  grammar: (value) => (isGrammar(value) ? undefined : "a grammar made by defineGrammar"),
  resolveTxt: accept.function,
  quarantineMs: accept.number(0),
  domainGraceMs: accept.number(0),
  keptChanges: accept.integer(1),
  pollMs: accept.integer(1, 60_000),
  now: accept.function,
}

/** Options with their defaults. */
export const registrySettings = ({
  grammar,
  resolveTxt = async () => [],
  quarantineMs = 30 * 86_400_000,
  domainGraceMs = 7 * 86_400_000,
  keptChanges = 10_000,
  pollMs = 1_000,
  now = () => Date.now(),
}: SqlRegistryOptions): SqlRegistrySettings => ({
  grammar,
  resolveTxt,
  quarantineMs,
  domainGraceMs,
  keptChanges,
  pollMs,
  now,
})
