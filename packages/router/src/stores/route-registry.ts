import type { Balance, Machine, MachineSettings, PortSettings, RedirectRoute, Rule } from "./record.ts"
import type { DomainProof } from "./registry/errors.ts"

/**
 * What a control plane calls to change where names lead.
 *
 * Each call is atomic: all keys of a project (`p:`, its `d:`, the `m:` of its machines) change together, or none does and
 * the call rejects with a `RegistryError`. Anything else that it rejects with is a failure of the database.
 *
 * A `reference` is a project's id or its current name, never a former one. `read` alone also takes the beginning of either
 * that no other project shares, since what a change would mean by it depends on the projects that there are; and the control
 * plane's own id, as `{ externalId }`. Names and domains are
 * taken in any case and returned in lower case. Every call rejects with `NotFound` for a project or machine that is not
 * registered, and with a `TypeError` for an option that it does not have.
 */
export interface RouteRegistry {
  /**
   * Rejects with `NameTaken`, `ReservedName`, `ExternalIdTaken`, `InvalidInput`; for `machine`, `replicas` and `rules` also as `attach` and
   * `configure` do.
   */
  create(project: NewProject, options?: RequestOptions): Promise<Project>
  /**
   * Gives a project another name. The old name is quarantined and redirects (308) to the new one, with the visitor's port;
   * the redirect is private if the project or any of its ports is. The same project may take the name back. The proof of each verified domain is asked for again first: if one is missing,
   * nothing changes and the call rejects with `DomainNotVerified`. Also `NameTaken`, `ReservedName`, `InvalidInput`.
   */
  rename(reference: string, name: string, options?: ChangeOptions): Promise<Project>
  /**
   * Removes a project. Its name and its verified domains become tombstones for the time of quarantine, private if the project
   * or any of its ports is; its machines are detached. Its id is no longer found, and its external id is free at once: no visitor
   * is led by it.
   */
  remove(reference: string, options?: ChangeOptions): Promise<void>
  /**
   * Changes a project: a field that is given replaces the old one, `null` clears it; `ports` and `services` are merged by port
   * and by name. Rejects with `InvalidInput`, with `ExternalIdTaken`, with `OwnerMismatch` or `NotFound` for a machine of `replicas` or `rules`, and
   * with `MachineTaken` for a replica that serves another project.
   *
   * ```ts
   * await registry.configure("misha", { ports: { 4096: { visibility: "public" }, 5173: null } })
   * ```
   */
  configure(reference: string, changes: ProjectChanges, options?: ChangeOptions): Promise<Project>
  /**
   * Points a project at a machine, in place of the one before, and ends a redirect. Raises the epoch. Rejects with
   * `NotFound`, `OwnerMismatch`, `MachineTaken` if the machine serves another project, or `InvalidInput` if replicas or rules lead to
   * machines of another region.
   */
  attach(reference: string, machine: string, options?: ChangeOptions): Promise<Project>
  /** Takes the machine and all replicas away from a project, and ends a redirect. Raises the epoch, even if there was none. */
  detach(reference: string, options?: ChangeOptions): Promise<Project>
  /**
   * Makes all names of a project redirect. Its machine and replicas are taken away. The redirect is private if the project or
   * any of its ports is. Raises the epoch. Rejects with `InvalidInput`.
   */
  redirect(reference: string, redirect: Redirect, options?: ChangeOptions): Promise<Project>
  /** Ends all sessions and links given out for a project: raises its generation. */
  revoke(reference: string, options?: ChangeOptions): Promise<Project>
  /**
   * Gives a project, with its machine and replicas, to another owner; `undefined` for nobody. All of it changes at once, and sessions
   * end as by `revoke`. The new owner's proof of each verified domain is asked for first: if one is missing, the call rejects with
   * `DomainNotVerified`, which says what to publish. Also `OwnerMismatch` for a machine that only the project's rules lead to, and
   * `MachineTaken` for one that the rules of another project lead to.
   */
  transfer(reference: string, owner: string | undefined, options?: ChangeOptions): Promise<Project>

  /**
   * Registers a machine, or replaces what is known of it, but for its owner (`OwnerMismatch`). While the machine serves
   * a project, that project's settings count and those given here wait. Rejects with `InvalidInput` for another region than that of the
   * project's other machines.
   */
  putMachine(machine: NewMachine, options?: ChangeOptions): Promise<RegisteredMachine>
  /** Forgets a machine. Rejects with `MachineTaken` while a project uses it. */
  removeMachine(machine: string, options?: ChangeOptions): Promise<void>
  readMachine(machine: string): Promise<RegisteredMachine>

  /**
   * Asks for a domain: `www.example.com`, which also takes `4096.www.example.com`, or `*.example.com`. It leads nowhere before
   * it is verified; several projects may ask for one. Rejects with `ReservedName`, `DomainTaken`, `InvalidInput`.
   */
  addDomain(reference: string, hostname: string, options?: ChangeOptions): Promise<Domain>
  /** Looks for the proof in the DNS; from then on the domain leads to the project. `DomainNotVerified`, `DomainTaken`. */
  verifyDomain(reference: string, hostname: string, options?: ChangeOptions): Promise<Domain>
  /**
   * Asks for the proof of a verified domain again: call it for each of them now and then, as once a day. Where it is missing, the domain
   * leads to the project still, with `failingSince`, until `domainGraceMs` have passed; a check that fails after that ends its
   * verification: it leads nowhere, and is free for whoever proves it. A domain that is not verified is returned as it is.
   */
  recheckDomain(reference: string, hostname: string): Promise<Domain>
  /** The domain leads nowhere from now on, and is free. */
  removeDomain(reference: string, hostname: string, options?: ChangeOptions): Promise<void>

  /**
   * Forgets what is past its time: tombstones, former names, keys of requests. Call it now and then; names are free without it. Returns
   * how many rows had something to forget.
   */
  purge(): Promise<number>

  /**
   * A project by its id, its name or the beginning of one, or by the whole of its external id, in its case. Rejects with
   * `NotFound` or `AmbiguousReference`.
   */
  read(
    reference: string | { readonly externalId: string },
    options?: { /** Only among this owner's projects. */ readonly owner?: string },
  ): Promise<Project>
  /** Projects by id, in pages. Rejects with `InvalidInput` if the cursor is not one. */
  list(options?: ListOptions): Promise<ProjectPage>
}

/** Options of every call that changes something. */
export interface RequestOptions {
  /**
   * A key of the caller's for this one call, 1 to 256 characters. If the call is made again with the key, because its outcome was
   * lost, it changes nothing and returns what is registered now. A key is remembered for at least 24 hours; a call that failed
   * leaves none. Rejects with `InvalidInput` if the key was given for another call.
   */
  readonly requestKey?: string
}

/** Options of every change of what is registered. */
export interface ChangeOptions extends RequestOptions {
  /** The expected version of the project (or machine). If it has another one, the call rejects with `VersionConflict`. */
  readonly ifVersion?: number
}

/** Which projects `list` returns. */
export interface ListOptions {
  /** Only projects of this owner. */
  readonly owner?: string
  /** `next` of the previous page. Default: the first page. */
  readonly cursor?: string
  /** How many projects at most, 1 to 1 000. Default 100. */
  readonly limit?: number
}

/** One page of projects, in the order of their ids. */
export interface ProjectPage {
  readonly projects: readonly Project[]
  /** The cursor of the next page; absent on the last one. */
  readonly next?: string
}

/** What a project is configured with. Settings are those of all its machines, under every one of its names. */
export interface ProjectConfig extends MachineSettings {
  /** The port of a hostname that names none, 1 to 65535. Default: the grammar's. */
  readonly port?: number
  /** Ports by service name. */
  readonly services?: Readonly<Record<string, number>>
  /** Ids of further machines of the same owner that serve the same app. Only beside an attached machine. */
  readonly replicas?: readonly string[]
  /** How a request's machine is chosen where there are replicas. Default `sticky`. */
  readonly balance?: Balance
  /** The first rule that matches chooses the machine, which has the project's owner, and the port. */
  readonly rules?: readonly ProjectRule[]
  /**
   * In ms since 1970. From then on the project's names lead nowhere, and its machines have their own settings again, private by
   * default, though they stay attached.
   */
  readonly expiresAt?: number
  readonly metadata?: Readonly<Record<string, unknown>>
}

/** Fields to replace; `null` clears one. `ports` and `services` are merged, `null` clears one of their entries. */
export type ProjectChanges = {
  readonly [Field in Exclude<keyof ProjectConfig, "ports" | "services">]?: ProjectConfig[Field] | null
} & {
  readonly ports?: Readonly<Record<number, PortSettings | null>> | null
  readonly services?: Readonly<Record<string, number | null>> | null
  readonly externalId?: string | null
}

/** A rule whose machines are named by id. */
export interface ProjectRule {
  readonly match: Rule["match"]
  readonly targets: readonly { readonly machine?: string; readonly port?: number; readonly weight?: number }[]
}

/** A place to redirect to. */
export interface Redirect {
  readonly to: RedirectRoute["to"]
  /** Default 308. */
  readonly status?: RedirectRoute["status"]
}

/** A project to create: its name, its owner and its configuration. */
export interface NewProject extends ProjectConfig {
  /** The public name: a slug of the grammar. */
  readonly name: string
  /** The tenant. Changes by `transfer` alone. Absent in an installation without tenants. */
  readonly owner?: string
  /** The control plane's own id, 1 to 256 characters. No two projects of a registry have the same. */
  readonly externalId?: string
  /** The id of the machine attached now. Without one the project is detached. */
  readonly machine?: string
}

/** A project as registered. */
export interface Project extends NewProject {
  /** Made by the registry; never changes and is never used again. */
  readonly id: string
  /** Raised by each change. */
  readonly version: number
  /** Raised by each attach, detach and redirect. */
  readonly epoch: number
  readonly generation: number
  readonly redirect?: Required<Redirect>
  readonly domains: readonly Domain[]
}

/** A custom domain of a project. */
export interface Domain {
  /** Lower-case: `www.example.com`, `*.example.com`. */
  readonly hostname: string
  readonly verified: boolean
  /** When a check first missed the proof, in ms since 1970. Absent: the last check found it. */
  readonly failingSince?: number
  /** What the owner publishes in the DNS, and keeps there. */
  readonly proof: DomainProof
}

/** A machine and the settings of its ports while it serves no project. Without any it is private on every port. */
export interface NewMachine extends Machine, MachineSettings {
  /** The tenant. Changes when the project that it serves is transferred. */
  readonly owner?: string
  /** The region that it runs in, 1 to 256 characters, for routers that have `regions`. All machines of one project have one region. */
  readonly region?: string
}

/** A machine as registered. */
export interface RegisteredMachine extends NewMachine {
  readonly version: number
  /** The id of the project that it serves, as its machine or as a replica. */
  readonly project?: string
}
