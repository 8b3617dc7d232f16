/** Every way in which an operation of a registry can fail. Distinguished by `_tag`; the fields say what it was about. */
export type RegistryError =
  | NameTaken
  | ReservedName
  | ExternalIdTaken
  | DomainTaken
  | DomainNotVerified
  | MachineTaken
  | OwnerMismatch
  | VersionConflict
  | AmbiguousReference
  | NotFound
  | InvalidInput

/** Another project has that name, had it until recently, or the name of a removed project is still kept. */
export class NameTaken extends Error {
  readonly _tag = "NameTaken"
  override readonly name = "NameTaken"
  readonly project: string
  /** When a quarantined name becomes free, in ms since 1970. Absent: it is in use. */
  readonly reusableAt: number | undefined
  constructor(fields: { readonly project: string; readonly reusableAt?: number | undefined }) {
    super(`the name ${fields.project} is ${fields.reusableAt === undefined ? "in use" : "quarantined"}`)
    this.project = fields.project
    this.reusableAt = fields.reusableAt
  }
}

/** Another project has that external id. */
export class ExternalIdTaken extends Error {
  readonly _tag = "ExternalIdTaken"
  override readonly name = "ExternalIdTaken"
  readonly externalId: string
  /** The id of that project. */
  readonly project: string
  constructor(fields: { readonly externalId: string; readonly project: string }) {
    super(`project ${fields.project} has the external id ${fields.externalId}`)
    this.externalId = fields.externalId
    this.project = fields.project
  }
}

/** The name belongs to the platform: a reserved label, or a domain under one of the grammar's own. */
export class ReservedName extends Error {
  readonly _tag = "ReservedName"
  override readonly name = "ReservedName"
  /** The name or domain that was asked for. */
  readonly requested: string
  constructor(fields: { readonly requested: string }) {
    super(`${fields.requested} is reserved by the platform`)
    this.requested = fields.requested
  }
}

/** Another project serves that domain. */
export class DomainTaken extends Error {
  readonly _tag = "DomainTaken"
  override readonly name = "DomainTaken"
  readonly hostname: string
  constructor(fields: { readonly hostname: string }) {
    super(`${fields.hostname} is served by another project`)
    this.hostname = fields.hostname
  }
}

/** The TXT record that proves who owns a domain was not found. */
export class DomainNotVerified extends Error {
  readonly _tag = "DomainNotVerified"
  override readonly name = "DomainNotVerified"
  readonly hostname: string
  readonly proof: DomainProof
  /** `cause`: the resolver's failure, if it failed rather than found nothing. */
  constructor(fields: { readonly hostname: string; readonly proof: DomainProof; readonly cause?: unknown }) {
    super(`no TXT record at ${fields.proof.name} has the value ${fields.proof.value}`, { cause: fields.cause })
    this.hostname = fields.hostname
    this.proof = fields.proof
  }
}

/** The TXT record that an owner publishes. The value is the same for all domains' projects of one owner, and of no other. */
export interface DomainProof {
  /** `_project-ingress.www.example.com` */
  readonly name: string
  readonly value: string
}

/** The machine serves another project, as its machine or as a replica. */
export class MachineTaken extends Error {
  readonly _tag = "MachineTaken"
  override readonly name = "MachineTaken"
  readonly machine: string
  /** The id of that project. */
  readonly project: string
  constructor(fields: { readonly machine: string; readonly project: string }) {
    super(`machine ${fields.machine} serves project ${fields.project}`)
    this.machine = fields.machine
    this.project = fields.project
  }
}

/** A project and a machine, or two projects, have different owners. */
export class OwnerMismatch extends Error {
  readonly _tag = "OwnerMismatch"
  override readonly name = "OwnerMismatch"
  /** Where in the input: `machine`, `rules.0.targets.1.machine`. */
  readonly field: string
  constructor(fields: { readonly field: string }) {
    super(`${fields.field} has another owner`)
    this.field = fields.field
  }
}

/** `ifVersion` is not the current version: somebody else changed it first. */
export class VersionConflict extends Error {
  readonly _tag = "VersionConflict"
  override readonly name = "VersionConflict"
  readonly expected: number
  readonly actual: number
  constructor(fields: { readonly expected: number; readonly actual: number }) {
    super(`the version is ${fields.actual}, not ${fields.expected}`)
    this.expected = fields.expected
    this.actual = fields.actual
  }
}

/** Several ids or names begin like that. */
export class AmbiguousReference extends Error {
  readonly _tag = "AmbiguousReference"
  override readonly name = "AmbiguousReference"
  readonly reference: string
  /** Ids of some of them, at most 10. */
  readonly matches: readonly string[]
  constructor(fields: { readonly reference: string; readonly matches: readonly string[] }) {
    super(`${fields.reference} is ambiguous: ${fields.matches.join(", ")}`)
    this.reference = fields.reference
    this.matches = fields.matches
  }
}

/** There is no such project, machine or domain. */
export class NotFound extends Error {
  readonly _tag = "NotFound"
  override readonly name = "NotFound"
  readonly kind: "project" | "machine" | "domain"
  readonly reference: string
  constructor(fields: { readonly kind: "project" | "machine" | "domain"; readonly reference: string }) {
    super(`there is no ${fields.kind} ${fields.reference}`)
    this.kind = fields.kind
    this.reference = fields.reference
  }
}

/** Part of the input is not valid. Nothing was changed. */
export class InvalidInput extends Error {
  readonly _tag = "InvalidInput"
  override readonly name = "InvalidInput"
  readonly code = "INVALID"
  /** Where: `ports.4096.visibility`. */
  readonly field: string
  /** What is accepted there. */
  readonly accepted: string
  constructor(fields: { readonly field: string; readonly accepted: string }) {
    super(`${fields.field} must be ${fields.accepted}`)
    this.field = fields.field
    this.accepted = fields.accepted
  }
}
