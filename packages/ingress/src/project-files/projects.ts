import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import type { Egress } from "./egress.ts"
import type { ProjectProblem } from "./project-problem.ts"

/** What a folder of projects declares. */
export interface Projects {
  /** By name. Ids and times are the same at every reading. */
  readonly ingresses: readonly DeclaredIngress[]
  /** All of them, each after those that it has egress to; in alphabetical order where egress goes in a circle. */
  readonly projects: readonly Project[]
  /** `itsup.yml`. */
  readonly settings?: ProjectSettings
  /** `traefik.yml`: overrides of Traefik's static configuration, as they are. */
  readonly overrides?: Readonly<Record<string, unknown>>
  /** Where each rule of `ingresses` was written: `shop/itsup-project.yml:4:5: ingress.0`. */
  readonly places: ReadonlyMap<DeclaredRule, ProjectPlace>
  /** What is worth knowing and no error: sentences. */
  readonly warnings: readonly string[]
}

/** A place in a project file. */
export type ProjectPlace = Pick<ProjectProblem, "file" | "line" | "column" | "key">

/** One project. */
export interface Project {
  /** That of its folder. */
  readonly name: string
  /** The name of its ingress: its own, with hyphens for `.` and `_`. */
  readonly ingress: string
  /** False: it declares nothing, and nothing is changed in its compose file. */
  readonly enabled: boolean
  readonly compose?: ComposeProject
  readonly egress: readonly Egress[]
}

/** A project of Docker Compose. */
export interface ComposeProject {
  /** As it is: `docker-compose.yml`. */
  readonly text: string
  /** Services that rows lead to, by name. */
  readonly services: readonly ExposedService[]
}

/** A service of a compose file that visitors reach. */
export interface ExposedService {
  readonly project: string
  readonly service: string
  /** The host of the rules' targets: its address, or an alias in the network that no other service has. */
  readonly host: string
  /** Whether `host` is its IPv4 address. */
  readonly pinned: boolean
  /** The rules of all its rows. */
  readonly rules: readonly DeclaredRule[]
  /** Those of `rules` that a front which reads labels takes from there: HTTP on the ordinary ports. */
  readonly labelled: readonly DeclaredRule[]
}

/** `itsup.yml`. */
export interface ProjectSettings {
  readonly traefikDomain: string
  readonly routerIP?: string
  readonly versions?: Readonly<Record<string, string>>
  readonly crowdsec?: { readonly enabled: boolean; readonly collections: readonly string[] }
}
