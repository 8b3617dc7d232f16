import { MAX_PRIORITY } from "../priority.ts"
import type { Declarations, Kind } from "./declarations.ts"
import { knownKeys } from "./known-keys.ts"
import { checkPlaceholders } from "./placeholders.ts"
import { mapOf } from "./read-labels.ts"
import { ruleProblem } from "./rule-problem.ts"
import { listOf } from "./static-document.ts"

type Protocol = "http" | "tcp" | "udp"

/** One file of the file provider: declares, and names what must be declared. */
export const checkDynamic = (document: unknown, file: string, declarations: Declarations): void => {
  declarations.provider("file")
  checkPlaceholders(document, file, true, declarations)
  const root = mapOf(document)
  checkKeys(root, "root", { file, path: "" }, declarations)
  const { options } = mapOf(root["tls"])
  checkKeys(mapOf(root["tls"]), "tls", { file, path: "tls" }, declarations)
  for (const [name, each] of Object.entries(mapOf(options))) {
    const place = { file, path: `tls.options.${name}` }
    declarations.declare("TLS option", name, "file", place)
    checkKeys(mapOf(each), "tlsOptions", place, declarations)
  }
  for (const protocol of ["http", "tcp", "udp"] as const) {
    if (root[protocol] === undefined) continue
    const sections = mapOf(root[protocol])
    checkKeys(sections, protocol, { file, path: protocol }, declarations)
    if (Object.keys(sections).length === 0) {
      declarations.add("invalid", { file, path: protocol }, "is empty, and Traefik refuses the file")
    }
    checkProtocol(sections, protocol, file, "file", declarations)
  }
}

interface Place {
  readonly file: string
  readonly path: string
}

const checkProtocol = (
  sections: Readonly<Record<string, unknown>>,
  protocol: Protocol,
  file: string,
  provider: string,
  declarations: Declarations,
): void => {
  for (const [name, router] of Object.entries(mapOf(sections["routers"]))) {
    const place = { file, path: `${protocol}.routers.${name}` }
    checkKeys(mapOf(router), `${protocol}Router`, place, declarations)
    checkRouter(name, mapOf(router), protocol, provider, place, declarations)
    if (mapOf(router)["service"] === undefined) declarations.add("invalid", place, "has no service")
  }
  for (const [name, middleware] of Object.entries(mapOf(sections["middlewares"]))) {
    const place = { file, path: `${protocol}.middlewares.${name}` }
    declarations.declare(`${protocol} middleware`, name, provider, place)
    if (protocol !== "udp") checkKeys(mapOf(middleware), `${protocol}Middleware`, place, declarations)
    if (Object.keys(mapOf(middleware)).length !== 1) declarations.add("invalid", place, "has not exactly one kind")
    referAll(mapOf(mapOf(middleware)["chain"])["middlewares"], `${protocol} middleware`, provider, place, declarations)
    const { service } = mapOf(mapOf(middleware)["errors"])
    referAll(service, `${protocol} service`, provider, place, declarations)
  }
  for (const [name, service] of Object.entries(mapOf(sections["services"]))) {
    const place = { file, path: `${protocol}.services.${name}` }
    declarations.declare(`${protocol} service`, name, provider, place)
    checkKeys(mapOf(service), `${protocol}Service`, place, declarations)
    checkService(mapOf(service), protocol, provider, place, declarations)
  }
  for (const [name, transport] of Object.entries(mapOf(sections["serversTransports"]))) {
    const place = { file, path: `${protocol}.serversTransports.${name}` }
    declarations.declare(`${protocol} servers transport`, name, provider, place)
    if (protocol !== "udp") checkKeys(mapOf(transport), `${protocol}Transport`, place, declarations)
  }
}

/** A router of a file or of labels. */
export const checkRouter = (
  name: string,
  router: Readonly<Record<string, unknown>>,
  protocol: Protocol,
  provider: string,
  place: Place,
  declarations: Declarations,
): void => {
  declarations.declare(`${protocol} router`, name, provider, place)
  const at = (key: string): Place => ({ file: place.file, path: `${place.path}.${key}` })
  const entryPoints = listOf(router["entryPoints"] ?? router["entrypoints"])
  const transport = protocol === "udp" ? "udp" : "tcp"
  for (const each of entryPoints)
    declarations.reference("entry point", `${transport} ${each}`, "static", at("entryPoints"))
  if (protocol === "udp" && entryPoints.length === 0) {
    declarations.add("invalid", place, "has no entry points, and would take every UDP port")
  }
  referAll(router["middlewares"], `${protocol} middleware`, provider, at("middlewares"), declarations)
  referAll(router["service"], `${protocol} service`, provider, at("service"), declarations)
  const { rule, tls } = router
  if (protocol !== "udp") checkRule(rule, tls, protocol, at("rule"), declarations)
  const { certResolver, certresolver = certResolver, options } = mapOf(tls)
  if (typeof certresolver === "string")
    declarations.reference("certificate resolver", certresolver, "static", at("tls.certResolver"))
  if (typeof options === "string" && options !== "default")
    declarations.reference("TLS option", options, "file", at("tls.options"))
  checkPriority(router["priority"], at("priority"), declarations)
}

const checkRule = (
  rule: unknown,
  tls: unknown,
  protocol: "http" | "tcp",
  place: Place,
  declarations: Declarations,
): void => {
  if (typeof rule !== "string" || rule === "") return declarations.add("invalid", place, "is missing")
  const problem = ruleProblem(rule, protocol)
  if (problem !== undefined) declarations.add("invalid", place, problem)
  if (protocol === "tcp" && tls === undefined && /HostSNIRegexp|HostSNI\((?!["`]\*["`]\))/.test(rule)) {
    declarations.add("invalid", place, "asks for a name, and without tls no connection says one")
  }
}

const checkPriority = (priority: unknown, place: Place, declarations: Declarations): void => {
  if (priority === undefined) return
  const isInteger =
    typeof priority === "bigint" ||
    Number.isInteger(priority) ||
    (typeof priority === "string" && /^-?\d{1,19}$/.test(priority))
  if (!isInteger || BigInt(priority as string) > MAX_PRIORITY) {
    declarations.add("invalid", place, `is not an integer up to ${MAX_PRIORITY}`)
  }
}

const checkService = (
  service: Readonly<Record<string, unknown>>,
  protocol: Protocol,
  provider: string,
  place: Place,
  declarations: Declarations,
): void => {
  if (Object.keys(service).length !== 1) declarations.add("invalid", place, "has not exactly one kind")
  const { loadBalancer, weighted, mirroring, failover, highestRandomWeight } = service
  const kind: Kind = `${protocol} service`
  for (const each of [weighted, highestRandomWeight]) {
    for (const { name } of mapsOf(mapOf(each)["services"])) referAll(name, kind, provider, place, declarations)
  }
  referAll(mapOf(mirroring)["service"], kind, provider, place, declarations)
  for (const { name } of mapsOf(mapOf(mirroring)["mirrors"])) referAll(name, kind, provider, place, declarations)
  referAll(mapOf(failover)["service"], kind, provider, place, declarations)
  referAll(mapOf(failover)["fallback"], kind, provider, place, declarations)
  if (loadBalancer === undefined) return
  const here = { file: place.file, path: `${place.path}.loadBalancer` }
  checkKeys(mapOf(loadBalancer), `${protocol}Balancer`, here, declarations)
  const { servers, serversTransport } = mapOf(loadBalancer)
  referAll(serversTransport, `${protocol} servers transport`, provider, here, declarations)
  const all = mapsOf(servers)
  if (all.length === 0) declarations.add("invalid", here, "has no servers")
  for (const server of all) {
    checkKeys(server, `${protocol}Server`, here, declarations)
    const address = protocol === "http" ? server["url"] : server["address"]
    const pattern =
      protocol === "http" ? /^(?:https?|h2c):\/\/[^/?#@\s]+\/?/ : /^(?:\[[\da-fA-F:.]+\]|[^:\s/]+):\d{1,5}$/
    if (typeof address !== "string" || !pattern.test(address))
      declarations.add("invalid", here, "has a server without a valid address")
  }
}

const mapsOf = (value: unknown): readonly Readonly<Record<string, unknown>>[] =>
  Array.isArray(value) ? value.map(mapOf) : []

/** Names in a text or in a list of texts. */
const referAll = (value: unknown, kind: Kind, provider: string, place: Place, declarations: Declarations): void => {
  for (const name of listOf(value)) declarations.reference(kind, name, provider, place)
}

const checkKeys = (
  map: Readonly<Record<string, unknown>>,
  known: keyof typeof knownKeys,
  place: Place,
  declarations: Declarations,
): void => {
  for (const key of Object.keys(map)) {
    if (knownKeys[known].has(key)) continue
    const path = place.path === "" ? key : `${place.path}.${key}`
    declarations.add("invalid", { file: place.file, path }, "is a key that Traefik 3 does not know")
  }
}
