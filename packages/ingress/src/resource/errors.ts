import { AmbiguousReference, VersionConflict } from "@project-ingress/router/internal"

export { AmbiguousReference, VersionConflict }

/** Every way in which a change of ingresses can be refused or fail. Distinguished by `_tag`. No message holds a value that may be a secret. */
export type IngressError =
  | IngressInvalid
  | NameTaken
  | HostnameInUse
  | HostnameReserved
  | HostnameNotAllowed
  | TargetNotFound
  | GrantRequired
  | SettingsConflict
  | NotFound
  | AmbiguousReference
  | VersionConflict
  | FrontRefused
  | FrontFailed
  | PortInUse

/** Part of a document is not valid. Nothing was changed. */
export class IngressInvalid extends Error {
  readonly _tag = "IngressInvalid"
  override readonly name = "IngressInvalid"
  /** Where: `rules.0.target.port`. Empty: the document itself. */
  readonly field: string
  /** What is accepted there, as a noun phrase. */
  readonly accepted: string
  constructor(fields: { readonly field: string; readonly accepted: string }) {
    super(`${fields.field === "" ? "the ingress" : fields.field} must be ${fields.accepted}`)
    this.field = fields.field
    this.accepted = fields.accepted
  }
}

/** Another ingress has that name. */
export class NameTaken extends Error {
  readonly _tag = "NameTaken"
  override readonly name = "NameTaken"
  readonly ingress: string
  constructor(fields: { readonly ingress: string }) {
    super(`there is an ingress with the name ${fields.ingress}`)
    this.ingress = fields.ingress
  }
}

/** Another rule takes the same requests: of the same document, of another ingress, or a verified domain of a project. */
export class HostnameInUse extends Error {
  readonly _tag = "HostnameInUse"
  override readonly name = "HostnameInUse"
  /** `rules.1.match.hostname` */
  readonly field: string
  readonly hostname: string
  readonly port: number
  /** The name of the ingress that has it, if it is the caller's own to know. */
  readonly ingress: string | undefined
  constructor(fields: {
    readonly field: string
    readonly hostname: string
    readonly port: number
    readonly ingress?: string | undefined
  }) {
    const by = fields.ingress === undefined ? "" : ` by ingress ${fields.ingress}`
    super(`${fields.field}: ${fields.hostname} on port ${fields.port} is in use${by}`)
    this.field = fields.field
    this.hostname = fields.hostname
    this.port = fields.port
    this.ingress = fields.ingress
  }
}

/** The hostname is the platform's own. */
export class HostnameReserved extends Error {
  readonly _tag = "HostnameReserved"
  override readonly name = "HostnameReserved"
  readonly field: string
  readonly hostname: string
  constructor(fields: { readonly field: string; readonly hostname: string }) {
    super(`${fields.field}: ${fields.hostname} is reserved by the platform`)
    this.field = fields.field
    this.hostname = fields.hostname
  }
}

/** The hostname is not one that this owner may use: it is not verified, or outside the allowed domains. */
export class HostnameNotAllowed extends Error {
  readonly _tag = "HostnameNotAllowed"
  override readonly name = "HostnameNotAllowed"
  readonly field: string
  readonly hostname: string
  constructor(fields: { readonly field: string; readonly hostname: string }) {
    super(`${fields.field}: ${fields.hostname} may not be used: it is not allowed or not verified`)
    this.field = fields.field
    this.hostname = fields.hostname
  }
}

/** There is no such machine or project, or none that this owner may know of. */
export class TargetNotFound extends Error {
  readonly _tag = "TargetNotFound"
  override readonly name = "TargetNotFound"
  readonly field: string
  readonly kind: "machine" | "project"
  readonly reference: string
  constructor(fields: { readonly field: string; readonly kind: "machine" | "project"; readonly reference: string }) {
    super(`${fields.field}: there is no ${fields.kind} ${fields.reference}`)
    this.field = fields.field
    this.kind = fields.kind
    this.reference = fields.reference
  }
}

/** The target has another owner, and no grant allows its use. */
export class GrantRequired extends Error {
  readonly _tag = "GrantRequired"
  override readonly name = "GrantRequired"
  readonly field: string
  constructor(fields: { readonly field: string }) {
    super(`${fields.field} has another owner, and needs a grant of that owner`)
    this.field = fields.field
  }
}

/** Two rules give one port of one machine different settings: settings hang on ports, so that no other hostname avoids them. */
export class SettingsConflict extends Error {
  readonly _tag = "SettingsConflict"
  override readonly name = "SettingsConflict"
  readonly field: string
  constructor(fields: { readonly field: string }) {
    super(`${fields.field} differs from what another rule says of the same port of the same target`)
    this.field = fields.field
  }
}

/** There is no such ingress, grant or record. */
export class NotFound extends Error {
  readonly _tag = "NotFound"
  override readonly name = "NotFound"
  readonly kind: "ingress" | "grant" | "record"
  readonly reference: string
  constructor(fields: { readonly kind: "ingress" | "grant" | "record"; readonly reference: string }) {
    super(`there is no ${fields.kind} ${fields.reference}`)
    this.kind = fields.kind
    this.reference = fields.reference
  }
}

/** A front cannot carry out what the change asks of it. Nothing was changed. */
export class FrontRefused extends Error {
  readonly _tag = "FrontRefused"
  override readonly name = "FrontRefused"
  readonly front: string
  /** `rules.0.proxyProtocol`; empty if the front does not say which field. */
  readonly field: string
  readonly reason: string
  /** `cause`: what the front said, for logs, never for a client. */
  constructor(fields: {
    readonly front: string
    readonly field?: string
    readonly reason: string
    readonly cause?: unknown
  }) {
    super(`${fields.front}: ${fields.field ? `${fields.field} ` : ""}${fields.reason}`, { cause: fields.cause })
    this.front = fields.front
    this.field = fields.field ?? ""
    this.reason = fields.reason
  }
}

/** A front could not be reached, or does not run what it was given. What was changed has been changed back. */
export class FrontFailed extends Error {
  readonly _tag = "FrontFailed"
  override readonly name = "FrontFailed"
  readonly front: string
  readonly step: "plan" | "validate" | "apply" | "read back" | "roll back"
  constructor(fields: { readonly front: string; readonly step: FrontFailed["step"]; readonly cause: unknown }) {
    super(`${fields.front}: ${fields.step} failed`, { cause: fields.cause })
    this.front = fields.front
    this.step = fields.step
  }
}

/** A front cannot listen on a port: something else does. Nothing was changed. */
export class PortInUse extends Error {
  readonly _tag = "PortInUse"
  override readonly name = "PortInUse"
  readonly front: string
  /** Absent where the front does not say which. */
  readonly port: number | undefined
  constructor(fields: { readonly front: string; readonly port?: number | undefined }) {
    super(`${fields.front}: port ${fields.port ?? "(unknown)"} is in use`)
    this.front = fields.front
    this.port = fields.port
  }
}
