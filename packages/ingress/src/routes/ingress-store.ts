// Replaced at the merge by the coordinator's: enough of it that the controller's own tests look something up.
import type { Grammar } from "@project-ingress/hostname"
import type { Lookup, RouteStore } from "@project-ingress/router"
import { matchHostname } from "../resource/hostname-pattern.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { compareRules } from "../resource/precedence.ts"
import type { IngressView } from "./ingress-view.ts"

/** What {@link ingressStore} accepts. */
export interface IngressStoreOptions {
  readonly grammar: Grammar
  readonly view: () => IngressView
  readonly inner: RouteStore
  readonly publicPorts?: Readonly<Record<number, number>>
}

/** A platform's own routes, and the hostnames of ingresses. */
export const ingressStore = ({ view, inner, publicPorts = {} }: IngressStoreOptions): RouteStore => ({
  async get(key, options) {
    const [, port, hostname] = /^d:(\d+):(.+)$/.exec(key) ?? []
    if (port === undefined || hostname === undefined) return inner.get(key, options)
    const wanted = publicPorts[Number(port)] ?? Number(port)
    const found: { ingress: DeclaredIngress; rule: DeclaredRule }[] = []
    for (const ingress of view().ingresses) {
      for (const rule of ingress.rules) {
        const { match } = rule
        if (match.protocol !== "http" || matchPort(rule) !== wanted) continue
        if (match.hostname !== undefined && matchHostname(match.hostname, hostname)) found.push({ ingress, rule })
      }
    }
    const first = found.toSorted(compareRules)[0]
    const target = first?.rule.targets[0]
    if (first === undefined || target?.kind !== "machine") return miss
    const at = await inner.get(`m:${target.machine}`, options)
    if (at.status !== "hit" || at.record.kind !== "machine") return at
    const { owner } = at.record
    const isPermitted =
      first.ingress.owner === undefined ||
      first.ingress.owner === owner ||
      view().grants.some(
        (grant) =>
          grant.owner === owner &&
          grant.to === first.ingress.owner &&
          "machine" in grant.target &&
          grant.target.machine === target.machine,
      )
    return isPermitted ? { status: "hit", record: { ...at.record, port: target.port }, layer: "ingress" } : miss
  },
})

const miss: Lookup = { status: "miss" }
