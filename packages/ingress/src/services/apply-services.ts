import type { PortSettings } from "@project-ingress/router"
import { accept, checkOptions } from "@project-ingress/router/internal"
import { NotFound, VersionConflict } from "@project-ingress/router/stores/memory"
import type { Project, ProjectChanges, RouteRegistry } from "@project-ingress/router/stores/memory"
import { decodeConfig } from "./decode-config.ts"
import { ServiceConflict } from "./service-conflict.ts"
import type { ServicesConfig } from "./services-config.ts"

/** How services are applied. */
export interface ApplyServicesOptions {
  /** The expected version of the project; `VersionConflict` if it is another. Default: whichever it has. */
  readonly ifVersion?: number
  /** True: changes nothing, and says what would be changed. Default false. */
  readonly dryRun?: boolean
}

/** What applying came to. */
export interface AppliedServices {
  /** After the change; in a dry run, before it. */
  readonly project: Project
  /** One line for each service that comes (`+`) or goes (`-`), by name: `+ opencode 4096 public`. Empty: nothing changes. */
  readonly diff: string
}

/** Where the project's metadata says what was declared. */
const KEY = "declaredServices"
/** Changes of others in between that are waited for. */
const MAX_ATTEMPTS = 5

/** What was set here, and by nobody else. */
interface Applied {
  readonly services: Readonly<Record<string, number>>
  /** By port. */
  readonly visibility: Readonly<Record<string, Visibility>>
}

type Visibility = "public" | "private"

/**
 * Makes a project's services and the visibility of their ports what the configuration says, by one `configure` or none. Applied again, it
 * changes nothing. What others have set stays.
 *
 * @throws {ServiceConflict} (rejects) if a name or a port's visibility is set otherwise by somebody else
 * @throws {ConfigInvalid} (rejects) if the configuration is not valid; and what `registry.configure` rejects with
 */
export const applyServices = async (
  registry: Pick<RouteRegistry, "read" | "configure">,
  reference: string,
  config: ServicesConfig,
  options: ApplyServicesOptions = {},
): Promise<AppliedServices> => {
  checkOptions("applyServices", options, {
    ifVersion: (value) => (Number.isSafeInteger(value) ? undefined : "an integer"),
    dryRun: accept.boolean,
  })
  const { services } = decodeConfig(config)
  for (let attempt = 1; ; attempt++) {
    const project = await registry.read(reference)
    // `read` takes the beginning of a name, too, which is not enough for a change.
    if (![project.id, project.name].includes(reference.toLowerCase()))
      throw new NotFound({ kind: "project", reference })
    const before = appliedOf(project)
    const { after, changes } = plan(project, before, services)
    const diff = diffOf(before, after)
    if (changes === undefined || options.dryRun === true) {
      if (options.ifVersion === undefined || options.ifVersion === project.version) return { project, diff }
      throw new VersionConflict({ expected: options.ifVersion, actual: project.version })
    }
    try {
      // What was decided on this version must not be written over another one.
      const ifVersion = options.ifVersion ?? project.version
      return { project: await registry.configure(project.id, changes, { ifVersion }), diff }
    } catch (cause) {
      const isRace =
        (cause as { readonly _tag?: unknown })._tag === "VersionConflict" && options.ifVersion === undefined
      if (!isRace || attempt >= MAX_ATTEMPTS) throw cause
    }
  }
}

const entries = <T>(value: unknown, is: (each: unknown) => each is T): Readonly<Record<string, T>> =>
  Object.fromEntries(Object.entries(value ?? {}).filter((entry): entry is [string, T] => is(entry[1])))

/** Metadata is the control plane's: anything may be there. */
const appliedOf = ({ metadata = {} }: Project): Applied => {
  const { services, visibility } = (metadata[KEY] ?? {}) as Record<string, unknown>
  return {
    services: entries(services, (each) => typeof each === "number"),
    visibility: entries(visibility, (each): each is Visibility => each === "public" || each === "private"),
  }
}

const own = <T>(record: Readonly<Record<string, T>>, name: string): T | undefined =>
  Object.hasOwn(record, name) ? record[name] : undefined

/** What changes of one table: entries to set or clear, and which entries are ours afterwards. */
const merge = <T>(
  field: (name: string) => string,
  { current, before, wanted }: { readonly [Table in "current" | "before" | "wanted"]: Readonly<Record<string, T>> },
): { readonly ours: Readonly<Record<string, T>>; readonly set: Readonly<Record<string, T | null>> } => {
  const ours: Record<string, T> = {}
  const set: Record<string, T | null> = {}
  for (const [name, value] of Object.entries(wanted)) {
    const found = own(current, name)
    if (found !== undefined && found !== own(before, name)) {
      if (found !== value) throw new ServiceConflict({ field: field(name) })
      continue
    }
    ours[name] = value
    if (found !== value) set[name] = value
  }
  for (const [name, value] of Object.entries(before)) {
    if (own(wanted, name) === undefined && own(current, name) === value) set[name] = null
  }
  return { ours, set }
}

/** `changes` is `undefined` if everything is as declared. */
const plan = (
  project: Project,
  before: Applied,
  declared: ServicesConfig["services"],
): { readonly after: Applied; readonly changes: ProjectChanges | undefined } => {
  const services = merge((name) => `services.${name}`, {
    current: project.services ?? {},
    before: before.services,
    wanted: Object.fromEntries(Object.entries(declared).map(([name, { port }]) => [name, port])),
  })
  const settings: Readonly<Record<string, PortSettings>> = project.ports ?? {}
  const visibility = merge<Visibility>((port) => `ports.${port}.visibility`, {
    current: defined(Object.entries(settings).map(([port, each]) => [port, each.visibility])),
    before: before.visibility,
    wanted: defined(Object.values(declared).map(({ port, visibility }) => [String(port), visibility])),
  })
  const after: Applied = { services: services.ours, visibility: visibility.ours }
  const isSame = Object.keys(services.set).length + Object.keys(visibility.set).length === 0
  if (isSame && textOf(before) === textOf(after)) return { after, changes: undefined }
  const { [KEY]: _, ...metadata } = project.metadata ?? {}
  const isEmpty = Object.keys(after.services).length + Object.keys(after.visibility).length === 0
  return {
    after,
    changes: {
      services: services.set,
      // The registry replaces the settings of a port as a whole.
      ports: Object.fromEntries(
        Object.entries(visibility.set).map(([port, value]) => {
          const { visibility: _, ...rest } = own(settings, port) ?? {}
          const next = value === null ? rest : { ...rest, visibility: value }
          return [port, Object.keys(next).length > 0 ? next : null]
        }),
      ),
      metadata: isEmpty ? (Object.keys(metadata).length > 0 ? metadata : null) : { ...metadata, [KEY]: after },
    },
  }
}

const defined = <T>(entries: readonly (readonly [string, T | undefined])[]): Readonly<Record<string, T>> =>
  Object.fromEntries(entries.filter((entry): entry is readonly [string, T] => entry[1] !== undefined))

const linesOf = ({ services, visibility }: Applied): readonly string[] =>
  Object.entries(services)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, port]) => [name, port, own(visibility, String(port))].filter((part) => part !== undefined).join(" "))

const textOf = (applied: Applied): string =>
  JSON.stringify([
    linesOf(applied),
    Object.entries(applied.visibility)
      .map(([port, value]) => `${port} ${value}`)
      .toSorted(),
  ])

const diffOf = (before: Applied, after: Applied): string => {
  const [old, now] = [linesOf(before), linesOf(after)]
  const gone = old.filter((line) => !now.includes(line)).map((line) => `- ${line}`)
  const come = now.filter((line) => !old.includes(line)).map((line) => `+ ${line}`)
  return [...gone, ...come].join("\n")
}
