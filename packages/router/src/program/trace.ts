import type { RouteKey, Target } from "@project-ingress/hostname"
import type { EnforcedSetting } from "../policies/policy.ts"

/**
 * One decision on the way from a hostname to a machine, as data. The same steps are made for a request and for `explain`. Holds
 * no credential and nothing of a machine's metadata.
 */
export type TraceStep =
  | {
      readonly step: "hostname"
      readonly outcome: "named"
      readonly keys: readonly RouteKey[]
      readonly target?: Target
    }
  | { readonly step: "hostname"; readonly outcome: "foreign" | "malformed"; readonly reason: string }
  | {
      readonly step: "lookup"
      readonly outcome: "hit" | "miss" | "unknown"
      readonly key: RouteKey
      /** The layer of the store that knew. */
      readonly layer?: string
      /** How old its knowledge is, in ms. */
      readonly ageMs?: number
      /** True if it is past its time and was given because nothing newer can be had. */
      readonly stale?: boolean
    }
  | {
      readonly step: "record"
      readonly outcome: "machine" | "detached" | "redirect" | "removed"
      readonly version: number
      readonly epoch: number
    }
  /** A record that cannot be served, or a machine that is not of the domain's owner. */
  | {
      readonly step: "refused"
      readonly outcome: "RECORD_INVALID" | "NOT_SUPPORTED" | "OWNER"
      readonly key: RouteKey
      readonly reason: string
    }
  /** The port has a setting that no policy carries out, which closes it: 403 for `visibility`, 501 for any other. */
  | { readonly step: "closed"; readonly outcome: EnforcedSetting }
  /** `outcome` is the rule's index. */
  | { readonly step: "rule"; readonly outcome: number }
  /** `outcome` is the machine's id. */
  | {
      readonly step: "machine"
      readonly outcome: string
      readonly type: string
      readonly externalId: string
      readonly version: number
      /** Why this one of several. */
      readonly reason?: string | undefined
    }
  | { readonly step: "port"; readonly outcome: number | "unknown"; readonly reason: string }
  /**
   * `outcome` is the policy's name. A request has a step of the policy that ended it. `explain` has one of each policy: of those that let the
   * request pass, and of those that it does not ask, because what they decide depends on a request, or counts or consumes something.
   */
  | {
      readonly step: "policy"
      readonly outcome: string
      readonly decision:
        | "denied"
        | "redirected"
        | "responded"
        | "inspects"
        | "failed"
        | "passed"
        | "visitor"
        | "not evaluated"
      /** Whom the policy took the visitor for. */
      readonly visitor?: { readonly by: string; readonly subject: string }
    }
  /** `outcome` is the region that the record names. */
  | {
      readonly step: "region"
      readonly outcome: string
      readonly decision: "here" | "hop" | "none"
      readonly reason: string
    }
  /** What the port speaks, where that is not HTTP/1.1. */
  | { readonly step: "protocol"; readonly outcome: "https" | "h2c" | "tcp" | "udp" }
  /** `outcome` is the provider's type. */
  | { readonly step: "provider"; readonly outcome: string; readonly configured: boolean }

/** A step as a sentence; `undefined` for one that needs none. */
export const sentence = (step: TraceStep): string | undefined => {
  switch (step.step) {
    case "hostname":
      if (step.outcome !== "named") return step.reason
      return step.target === undefined
        ? `not under a domain of the grammar, looked up as ${step.keys.join(", ")}`
        : `names a ${step.target.kind}, route key ${step.keys[0]}`
    case "lookup":
      if (step.outcome === "miss") return `the store has no route ${step.key}`
      if (step.outcome === "unknown") return "the store cannot tell now: 503"
      return step.stale === true
        ? `known by ${step.layer ?? "the store"}, ${step.ageMs ?? "unknown"} ms old, stale`
        : undefined
    case "record":
      if (step.outcome === "machine") return undefined
      return `${recordSentences[step.outcome]}, version ${step.version}`
    case "refused":
    case "region":
      return step.reason
    case "closed":
      return step.outcome === "visibility"
        ? "the port is private, and no policy decides about visibility: 403"
        : `no policy carries out ${step.outcome} of the port: 501`
    case "rule":
      return `rule ${step.outcome} chooses`
    case "machine":
      return `attached to machine ${step.outcome}, version ${step.version}${step.reason ? `, ${step.reason}` : ""}`
    case "port":
      return step.outcome === "unknown" ? `no port: ${step.reason}` : `port ${step.outcome}`
    case "policy":
      if (step.decision === "not evaluated")
        return `policy ${step.outcome} depends on the request and was not evaluated`
      return step.visitor === undefined
        ? `policy ${step.outcome} ${step.decision}`
        : `policy ${step.outcome} knows the visitor ${step.visitor.subject} by ${step.visitor.by}`
    case "protocol":
      return step.outcome === "tcp" || step.outcome === "udp"
        ? `the port speaks ${step.outcome}: reached by project-ingress forward or a listener of its own, not by HTTP`
        : `the app speaks ${step.outcome}`
    case "provider":
      break
  }
  return step.configured ? `reached through provider ${step.outcome}` : `no provider ${step.outcome} is configured: 500`
}

const recordSentences = {
  detached: "no machine is attached: 503",
  redirect: "redirects elsewhere",
  removed: "removed: 410",
}
