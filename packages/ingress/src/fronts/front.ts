import type { DeclaredIngress, DeclaredTarget } from "../resource/ingress.ts"

/** A file that an exporter made. Equal input gives equal files, byte for byte. */
export interface GeneratedFile {
  /** Relative to the front's folder, with `/`: `dynamic/api.yml`. */
  readonly path: string
  readonly text: string
  /** The file's permissions. Default 0o644; 0o600 for one that holds secrets. */
  readonly mode?: number
}

/** What an exporter reads: data only, so that exporting is a pure function. */
export interface ExportInput {
  /** In any order. */
  readonly ingresses: readonly DeclaredIngress[]
  /**
   * Where a machine or project is dialled: `10.0.0.5`, a name, an IPv6 address without brackets; `undefined`: it is not known now,
   * and what leads there is left out and reported. Not asked for targets of kind `url` and `capture`.
   */
  readonly address: (target: DialledTarget) => string | undefined
  /**
   * The zone of the internal DNS responder, `machines.internal`: the front resolves `<capture>.<zone>` at the time of the
   * request. Absent: targets of kind `capture` cannot be exported.
   */
  readonly internalZone?: string
}

/** A target that an address is asked for. */
export type DialledTarget = Extract<DeclaredTarget, { readonly kind: "machine" | "project" }>

/** What cannot be said to a front, or is left out. */
export interface ExportProblem {
  /** `unsupported`: the front cannot express it, and the change is refused. `unresolved`: the target has no address now, and only this rule is left out. */
  readonly kind: "unsupported" | "unresolved"
  /** The name of the ingress. */
  readonly ingress: string
  /** `rules.0.proxyProtocol` */
  readonly field: string
  /** The end of a sentence: "has no equivalent in Caddy 2.6". */
  readonly reason: string
}

/** What an exporter gives. */
export interface Exported {
  /** Sorted by path. */
  readonly files: readonly GeneratedFile[]
  readonly problems: readonly ExportProblem[]
}

/**
 * A proxy that is driven: Caddy, Traefik, Envoy, the router's own registry. `createIngresses` calls `plan` with what shall be, and then
 * the steps of the plan in order: validate, apply, readBack. After a failure `rollBack`.
 */
export interface Front {
  /** `caddy` */
  readonly name: string
  plan(input: ExportInput, options: { readonly signal: AbortSignal }): Promise<FrontPlan>
  /** Ends connections. The proxy itself goes on. */
  dispose?(): void | PromiseLike<void>
}

/** What would become of a front. Nothing has happened yet. */
export interface FrontPlan {
  readonly problems: readonly ExportProblem[]
  /** What changes, for people: a unified diff with secrets left out. Empty: nothing does, and no step is run. */
  readonly diff: string
  /** Has the front's own checker look at it. Rejects with `FrontRefused` or `PortInUse`; changes nothing. */
  validate(signal: AbortSignal): Promise<void>
  /** Makes it so. Rejects with `FrontRefused`, `PortInUse`, or any failure. */
  apply(signal: AbortSignal): Promise<void>
  /** Asks the front what it runs. Rejects if that is not the plan. */
  readBack(signal: AbortSignal): Promise<void>
  /** Restores what was there before, also after an `apply` that failed half-way. */
  rollBack(signal: AbortSignal): Promise<void>
}
