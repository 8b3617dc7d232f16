import * as Schema from "effect/Schema"
import { IngressSchema } from "../resource/ingress-schema.ts"
import { matchPort } from "../resource/ingress.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import { isoTime, shownSettings, shownTime, showRule } from "./representation.ts"
import { RequestProblem } from "./request-problem.ts"
import { isObject } from "@project-ingress/router/internal"
import { withoutZero } from "../storage/legacy-rules.ts"

/** The words of the ingress manager `hypeman`, for clients of it: what it documents is as it documents it, and the rest is in ours. */

const rule = IngressSchema.fields.rules.value.fields

/** An ingress in these words: `target.instance`, `match.port` always there, `redirect_http`, `created_at`. */
export const HypemanIngress = Schema.Struct({
  id: Schema.String,
  name: IngressSchema.fields.name,
  rules: Schema.Array(
    Schema.Struct({
      match: Schema.Struct({ ...rule.match.fields, port: rule.match.fields.port.schema }),
      target: rule.target,
      targets: rule.targets,
      tls: Schema.Boolean,
      redirect_http: Schema.Boolean,
      ...shownSettings,
    }),
  ),
  created_at: shownTime,
}).annotate({ identifier: "HypemanIngress" })

export type HypemanIngress = typeof HypemanIngress.Type

export const showHypeman = ({ id, name, rules, createdAt }: DeclaredIngress): HypemanIngress => ({
  id,
  name,
  rules: rules.map(showHypemanRule),
  created_at: isoTime(createdAt),
})

const showHypemanRule = (rule: DeclaredRule): HypemanIngress["rules"][number] => {
  const { match, target, targets, tls = false, redirectHttp = false, ...settings } = showRule(rule)
  return {
    match: { ...match, port: matchPort(rule) },
    ...(target && { target: withInstance(target) }),
    ...(targets && { targets: targets.map(withInstance) }),
    tls,
    redirect_http: redirectHttp,
    ...settings,
  }
}

/** `{ capture: "name" }` is `{ instance: "{name}" }`. */
const withInstance = <Target extends { readonly machine?: string; readonly capture?: string }>({
  machine,
  capture,
  ...rest
}: Target) => ({
  ...(machine === undefined ? {} : { instance: machine }),
  ...(capture === undefined ? {} : { instance: `{${capture}}` }),
  ...rest,
})

/**
 * What such a client sends, as a document of ours: `match.port: 0` is its absence.
 *
 * @throws {RequestProblem} with the documented text, in the documented order, for what hypeman refuses
 */
export const readHypeman = (document: unknown): unknown => {
  if (!isObject(document)) return document
  const { rules = [] } = document
  if (!Array.isArray(rules)) return document
  if (rules.length === 0) throw refused("rules", "at least one rule is required")
  return { ...document, rules: rules.map(readRule) }
}

const readRule = (rule: unknown, at: number): unknown => {
  if (!isObject(rule)) return rule
  const match = isObject(rule["match"]) ? rule["match"] : {}
  const target = isObject(rule["target"]) ? rule["target"] : undefined
  const problem = (field: string, text: string) => refused(`rules.${at}.${field}`, `${text} in rule ${at}`)
  const { hostname = "", port, protocol = "http" } = match
  if (hostname === "" && protocol === "http") throw problem("match.hostname", "hostname is required")
  if (typeof hostname === "string" && hostname.includes("*")) {
    throw problem("match.hostname", "wildcard hostnames are not supported: {name} takes one label,")
  }
  if (isOutside(port, 0)) throw problem("match.port", "match.port must be between 1 and 65535")
  // One that leads to a project or an address is ours, and has the checks of ours.
  if (target !== undefined && !["machine", "project", "url", "capture"].some((kind) => kind in target)) {
    if ((target["instance"] ?? "") === "") throw problem("target.instance", "instance is required")
    if (isOutside(target["port"] ?? 0, 1)) throw problem("target.port", "target.port must be between 1 and 65535")
  }
  if (rule["redirect_http"] === true && rule["tls"] !== true) {
    throw problem("redirect_http", "redirect_http requires tls")
  }
  return { ...rule, match: withoutZero(rule["match"]) }
}

/** Whatever is no number is left to the schema. */
const isOutside = (port: unknown, minimum: number): boolean =>
  typeof port === "number" && (port < minimum || port > 65_535)

const refused = (field: string, message: string): RequestProblem => new RequestProblem("bad_request", message, field)
