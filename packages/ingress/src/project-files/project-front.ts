import type { Exported, ExportInput, ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import type { ExposedService, ProjectSettings } from "./projects.ts"

/** What project files and the environment say beside ingresses. */
export interface ProjectFrontOptions {
  /** Where the files go: an absolute path, for a front whose files name each other. */
  readonly folder: string
  readonly settings?: ProjectSettings
  /** As they are in the file. How lists are merged is for the front to say. */
  readonly overrides?: Readonly<Record<string, unknown>>
  /** The variables that the front asked for; all of them are there. */
  readonly variables: Readonly<Record<string, string>>
  /** For `export`: the ingresses with only those rules that are said in labels. Default none. */
  readonly labelled?: readonly DeclaredIngress[]
}

/** Labels of a project's services. */
export interface ServiceLabels {
  /** By service: `name=value` as a compose file has them, with `$$` for `$`. */
  readonly labels: ReadonlyMap<string, readonly string[]>
  /** What labels cannot say. */
  readonly problems: readonly (Pick<ExportProblem, "kind" | "reason"> & {
    readonly rule: DeclaredRule
    /** Of the rule: `requireHeader`. */
    readonly field: string
  })[]
}

/** A front that files can be made for. */
export interface ProjectFront {
  /** Pure. Paths are relative to the folder of the front. */
  readonly export: (input: ExportInput, options: ProjectFrontOptions) => Exported
  /**
   * True: it dials the services. Their compose files are made too, with the network that the front is in. False for a zone of DNS.
   */
  readonly isProxy: boolean
  /**
   * Labels that services carry for the front. What is in `labelled` of a service is then not in the ingresses that `export` gets.
   * `project`: the name of the project's ingress.
   */
  readonly labels?: (
    project: string,
    services: readonly ExposedService[],
    options: ProjectFrontOptions,
  ) => ServiceLabels
  /** Variables of the environment that it needs. `secret`: never shown in a diff. */
  readonly variables?: Readonly<Record<string, "public" | "secret">>
  /** What of `itsup.yml` it needs. */
  readonly requires?: readonly ("traefikDomain" | "routerIP")[]
  /** Where its overrides are: in the folder's `traefik.yml` and in a file that is given, or only in the latter. Absent: it has none. */
  readonly overrides?: "traefik.yml" | "given"
}

/** What the command can make. */
export interface Exporters {
  /** By name, as `--front` has it. */
  readonly fronts: Readonly<Record<string, ProjectFront>>
  /** Unit files that run a front, by manager: `systemd`. `undefined`: the front is no process. */
  readonly units: Readonly<
    Record<string, (unit: { readonly front: string; readonly folder: string }) => string | undefined>
  >
}
