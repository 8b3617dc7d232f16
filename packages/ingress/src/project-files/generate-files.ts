import type { ExportProblem, GeneratedFile } from "../fronts/front.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import type { ProjectFront, ProjectFrontOptions } from "./project-front.ts"
import { byPlace, formatProblem } from "./project-problem.ts"
import type { ProjectProblem } from "./project-problem.ts"
import type { Project, Projects } from "./projects.ts"
import { upstreamCompose } from "./upstream-compose.ts"

/** The files of a front for projects, and what it cannot express or leaves out. */
export interface GeneratedProjects {
  readonly files: readonly GeneratedFile[]
  /** What the front cannot express: nothing may be written. */
  readonly problems: readonly ProjectProblem[]
  /** What is left out. */
  readonly warnings: readonly string[]
}

/** Pure: equal input gives equal files. */
export const generateFiles = (
  projects: Projects,
  front: ProjectFront,
  options: ProjectFrontOptions,
): GeneratedProjects => {
  const byLabel = new Set(
    front.labels === undefined
      ? []
      : projects.projects.flatMap(({ compose }) => compose?.services.flatMap(({ labelled }) => labelled) ?? []),
  )
  const having = (isLabelled: boolean): readonly DeclaredIngress[] =>
    projects.ingresses
      .map((ingress) => ({ ...ingress, rules: ingress.rules.filter((rule) => byLabel.has(rule) === isLabelled) }))
      .filter(({ rules }) => rules.length > 0)
  const ingresses = having(false)
  const exported = front.export({ ingresses, address: () => undefined }, { ...options, labelled: having(true) })
  const composed = front.isProxy ? projects.projects.map((project) => composeOf(project, front, options, projects)) : []
  const found = [
    ...exported.problems.map((each) => ({ kind: each.kind, ...placed(each, ingresses, projects) })),
    ...composed.flatMap((each) => each.found),
  ]
  const problems = found.flatMap(({ kind, ...problem }) => (kind === "unsupported" ? problem : []))
  return {
    files: [...exported.files, ...composed.flatMap(({ files }) => files)].toSorted((a, b) =>
      a.path < b.path ? -1 : 1,
    ),
    problems: [...missingSettings(front, options), ...problems].toSorted(byPlace),
    warnings: found.flatMap((each) => (each.kind === "unresolved" ? formatProblem(each) : [])),
  }
}

const missingSettings = (
  { requires = [] }: ProjectFront,
  { settings }: ProjectFrontOptions,
): readonly ProjectProblem[] =>
  requires
    .filter((key) => settings?.[key] === undefined)
    .map((key) => ({ file: "itsup.yml", key, message: `${key} must be present: the front needs it` }))

type Found = ProjectProblem & Pick<ExportProblem, "kind">

/** A problem of an exporter at the place where its rule was written. */
const placed = (
  { ingress: name, field, reason }: ExportProblem,
  ingresses: readonly DeclaredIngress[],
  { places }: Projects,
): ProjectProblem => {
  const at = /^rules\.(\d+)\.?/.exec(field)
  const rule = at === null ? undefined : ingresses.find((each) => each.name === name)?.rules[Number(at[1])]
  const place = rule === undefined ? undefined : places.get(rule)
  if (place === undefined) return { file: name, key: field, message: `${field} ${reason}`.trim() }
  return { ...place, message: sentence(place.key, field.slice(at![0].length), reason) }
}

/** `ingress.0: proxyProtocol has no equivalent in Caddy 2.6` */
const sentence = (key: string, field: string, reason: string): string =>
  `${key}: ${field === "" ? "" : `${field} `}${reason}`

const composeOf = (
  { name, ingress, enabled, compose }: Project,
  front: ProjectFront,
  options: ProjectFrontOptions,
  { places }: Projects,
): { readonly files: readonly GeneratedFile[]; readonly found: readonly Found[] } => {
  if (compose === undefined) return { files: [], found: [] }
  const services = enabled ? compose.services : []
  const labelled = services.length === 0 ? undefined : front.labels?.(ingress, services, options)
  const made = upstreamCompose(
    compose.text,
    services.map((service) => ({ service, labels: labelled?.labels.get(service.service) ?? [] })),
  )
  const file = `${name}/docker-compose.yml`
  return {
    files: [{ path: `upstream/${file}`, text: made.text }],
    found: [
      ...(labelled?.problems ?? []).map(({ kind, rule, field, reason }) => {
        const place = places.get(rule) ?? { file, key: "" }
        return Object.assign({ kind, message: sentence(place.key, field, reason) }, place)
      }),
      ...made.problems.map(({ service, label }) => {
        const key = `services.${service}.labels`
        const message = `${key} must be free of ${label.slice(0, 128)}, which is generated with another value`
        return { kind: "unsupported" as const, file, key, message }
      }),
    ],
  }
}
