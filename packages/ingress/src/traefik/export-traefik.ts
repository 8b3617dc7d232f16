import { yamlText } from "../documents/yaml-text.ts"
import type { Exported, ExportInput, ExportProblem, GeneratedFile } from "../fronts/front.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import { matchPort } from "../resource/ingress.ts"
import { checkDocuments } from "./check/check-documents.ts"
import type { NamedDocument } from "./check/check-documents.ts"
import { composeDocument } from "./compose.ts"
import { addTo, emptyDocument, trimmedDocument } from "./document.ts"
import type { TraefikDocument } from "./document.ts"
import type { EntryPoint } from "./entry-points.ts"
import { entryPointOf } from "./entry-points.ts"
import { httpRouters, unmatchedRouter } from "./http-routers.ts"
import { nobody } from "./nobody.ts"
import { NotExpressible } from "./not-expressible.ts"
import { checkTraefikOptions } from "./options.ts"
import type { TraefikOptions } from "./options.ts"
import { ranksOf } from "./ranks.ts"
import type { Claim } from "./ranks.ts"
import { addService } from "./services.ts"
import { tcpOverHttp } from "./shared-ports.ts"
import { allEntryPoints, staticDocument } from "./static.ts"
import { addTcpRouter, addUdpRouter } from "./stream-routers.ts"
import { TraefikInvalid } from "./traefik-invalid.ts"
import { unmatchedOf } from "./unmatched.ts"
import type { Unmatched } from "./unmatched.ts"
import { compareText } from "../resource/precedence.ts"

/**
 * Traefik's files: `traefik/traefik.yml`, `traefik/dynamic/<ingress>.yml` and, with `compose`, `docker-compose.yml`. Equal input gives equal
 * files, whatever its order. Rules that Traefik cannot carry out are left out and reported.
 *
 * @throws {TypeError} for invalid options, and for a list in `overrides` without a policy
 * @throws {TraefikInvalid} if what came out does not hold together: an override names a middleware that is not there
 */
export const exportTraefik = (input: ExportInput, options: TraefikOptions = {}): Exported => {
  checkTraefikOptions("exportTraefik", options)
  const ingresses = input.ingresses.toSorted(byName)
  const claims = ingresses.flatMap(claimsOf)
  const labelled = (options.labelled ?? []).flatMap(claimsOf)
  const ranks = ranksOf(claims)
  const refused = tcpOverHttp(claims)
  const byRule = new Map(claims.map((claim) => [keyOf(claim.ingress, claim.index, claim.isRedirect), claim]))
  const problems: ExportProblem[] = []
  const entryPoints = new Map<string, EntryPoint>()
  const documents: (NamedDocument & { readonly comment: string; readonly mode?: number })[] = []

  const unmatched = unmatchedOf([...claims, ...labelled].toSorted((a, b) => byName(a.ingress, b.ingress)))
  const byIngress = new Map(ingresses.map((ingress) => [ingress.name, ingress]))
  for (const name of new Set([...byIngress.keys(), ...unmatched.keys()])) {
    const ingress = byIngress.get(name)
    const document = emptyDocument()
    for (const [index, rule] of ingress?.rules.entries() ?? []) {
      const claim = byRule.get(keyOf(ingress!, index, false))!
      const redirect = byRule.get(keyOf(ingress!, index, true))
      const report = ({ kind, field, reason }: NotExpressible): unknown =>
        problems.push({ kind, ingress: name, field: `rules.${index}.${field}`, reason })
      try {
        if (refused.has(claim)) {
          throw new NotExpressible("match.port", "has HTTP rules too, whose connections Traefik would give to this one")
        }
        const rankOf = (each: Claim | undefined) => (each === undefined ? 0 : ranks.get(each)!)
        addTo(document, ruleDocument(claim, rankOf(claim), rankOf(redirect), input, options, report))
        const entryPoint = entryPointOf(matchPort(rule), rule.match.protocol === "udp" ? "udp" : "tcp", options)
        entryPoints.set(entryPoint.name, entryPoint)
      } catch (cause) {
        if (!(cause instanceof NotExpressible)) throw cause
        report(cause)
      }
    }
    addUnmatched(document, name, unmatched.get(name) ?? [], options, entryPoints)
    const trimmed = trimmedDocument(document)
    if (trimmed === undefined) continue
    const hasSecret = ingress?.rules.some(({ requireHeader }) => requireHeader !== undefined) ?? false
    documents.push({
      path: `traefik/dynamic/${name}.yml`,
      document: trimmed,
      comment: `Generated from the ingress ${name}. What is changed here is noticed, and not kept.`,
      ...(hasSecret ? { mode: 0o600 } : {}),
    })
  }
  const used = [...entryPoints.values()]
  return { files: filesOf(documents, used, options), problems }
}

const byName = (a: DeclaredIngress, b: DeclaredIngress): number => compareText(a.name, b.name)

const claimsOf = (ingress: DeclaredIngress): readonly Claim[] =>
  ingress.rules.flatMap((rule, index) => {
    const own = { ingress, rule, index, port: matchPort(rule), isRedirect: false }
    return rule.redirectHttp === true ? [own, { ...own, port: 80, isRedirect: true }] : [own]
  })

const keyOf = ({ id }: DeclaredIngress, index: number, isRedirect: boolean): string =>
  `${id} ${index}${isRedirect ? " redirect" : ""}`

/**
 * What one rule adds: all of it or, if a part cannot be said, nothing. Where its targets have no address now, its requests are still
 * nobody else's: they are refused. No ingress has `_` in its name.
 */
const ruleDocument = (
  { ingress, rule, index }: Claim,
  rank: number,
  redirectRank: number,
  input: ExportInput,
  options: TraefikOptions,
  report: (problem: NotExpressible) => unknown,
): TraefikDocument => {
  const document = emptyDocument()
  const name = `${ingress.name}_${index}`
  let isDown = false
  try {
    addService(document, name, rule, input, options)
  } catch (cause) {
    // A UDP port has no other owner that it could be left to.
    if (!(cause instanceof NotExpressible) || cause.kind !== "unresolved" || rule.match.protocol === "udp") throw cause
    report(cause)
    isDown = true
  }
  if (rule.match.protocol === "tcp") addTcpRouter(document, name, rule, rank, options, { isDown })
  else if (rule.match.protocol === "udp") addUdpRouter(document, name, rule, rank, options)
  else {
    const names = { name, ...(isDown ? {} : { service: name }), rank, redirectName: `${name}_redirect`, redirectRank }
    const { routers, middlewares } = httpRouters(rule, names, options)
    Object.assign(document.http.routers, routers)
    Object.assign(document.http.middlewares, middlewares)
  }
  return document
}

/** Routers for what no rule of a hostname takes. */
const addUnmatched = (
  { http }: TraefikDocument,
  ingress: string,
  unmatched: readonly Unmatched[],
  options: TraefikOptions,
  entryPoints: Map<string, EntryPoint>,
): void => {
  const middleware = `${ingress}_unmatched`
  for (const [at, { hostname, port, isTls }] of unmatched.entries()) {
    try {
      const entryPoint = entryPointOf(port, "tcp", options)
      http.routers[`${middleware}_${at}`] = unmatchedRouter(hostname, entryPoint.name, { isTls, middleware }, options)
      http.middlewares[middleware] = nobody(404)
      entryPoints.set(entryPoint.name, entryPoint)
    } catch (cause) {
      // Its rules are the same, and reported.
      if (!(cause instanceof NotExpressible)) throw cause
    }
  }
}

const filesOf = (
  documents: readonly (NamedDocument & { readonly comment: string; readonly mode?: number })[],
  used: readonly EntryPoint[],
  options: TraefikOptions,
): readonly GeneratedFile[] => {
  const listening = allEntryPoints(used, options)
  const own = Object.entries(options.documents ?? {}).map(([name, document]) => ({
    path: `traefik/dynamic/_${name}.yml`,
    document,
    comment: `Generated from the document ${name}.`,
  }))
  const statics = {
    path: "traefik/traefik.yml",
    document: staticDocument(listening, options),
    comment: "Generated. Traefik reads it when it starts.",
  }
  const all = [...documents, ...own, statics]
  const files: GeneratedFile[] = all.map(({ path, document, comment, ...rest }) => {
    const { mode } = rest as { readonly mode?: number }
    return { path, text: yamlText(document, comment), ...(mode === undefined ? {} : { mode }) }
  })
  const checked: NamedDocument[] = [...all]
  if (options.compose !== undefined) {
    const staticText = files.at(-1)!.text
    const document = composeDocument(options.compose, listening, staticText, options)
    files.push({ path: "docker-compose.yml", text: yamlText(document, "Generated.") })
    checked.push({ path: "docker-compose.yml", document })
  }
  // What the user's own documents declare may be used by labels of containers that are not seen here.
  const problems = checkDocuments(checked).filter(
    ({ kind, file }) => !(kind === "unused" && file.startsWith("traefik/dynamic/_")),
  )
  if (problems.length > 0) throw new TraefikInvalid({ problems })
  return files.toSorted((a, b) => (a.path < b.path ? -1 : 1))
}
