import type { HealthCheck, HeaderRules } from "@project-ingress/router"

/**
 * Hostnames, and where their requests go: what a control plane declares. Everything is JSON. `decodeIngress` checks it and brings
 * it into its normal form, {@link DeclaredRule}.
 *
 * ```json
 * {
 *   "name": "my-api",
 *   "rules": [{ "match": { "hostname": "api.example.com" }, "target": { "machine": "mach_1", "port": 8080 }, "tls": true }]
 * }
 * ```
 */
export interface Ingress {
  /** Lower-case letters, digits and inner hyphens, 1 to 63. Unique. */
  readonly name: string
  /** One or more. Their order has no meaning: the most specific one that matches a request takes it. */
  readonly rules: readonly IngressRule[]
}

/** One hostname, or a pattern of hostnames, and where its requests go. Either `target` or `targets`. */
export interface IngressRule extends RuleSettings {
  readonly match: IngressMatch
  readonly target?: IngressTarget
  /** Several, by weight. */
  readonly targets?: readonly (IngressTarget & { readonly weight?: number })[]
}

/** What a rule says beside match and target. */
export interface RuleSettings {
  /** True: visitors speak TLS, and the front has a certificate for the hostname. Default false. */
  readonly tls?: boolean
  /** True: requests by plain HTTP are redirected (301) to https. Only with `tls`. Default false. */
  readonly redirectHttp?: boolean
  /** Networks that visitors must come from: `10.0.0.0/8`. An empty list is refused. */
  readonly allowCidrs?: readonly string[]
  /** A field that requests must carry; the app never gets it. */
  readonly requireHeader?: RequiredHeader
  /** Changes of the fields of responses. */
  readonly responseHeaders?: HeaderRules
  readonly healthCheck?: HealthCheck
  /** True: TLS is not ended at the front; connections go on by the name in their ClientHello. Only with `protocol: "tcp"`. */
  readonly passthrough?: boolean
  /** The version of the PROXY protocol that targets are sent. Default: none. */
  readonly proxyProtocol?: 1 | 2
}

/** Which requests or connections a rule takes. All that is given must match. */
export interface IngressMatch {
  /**
   * A hostname, `api.example.com`; or a pattern, of which whole labels are `*` or `{capture}`, each exactly one label:
   * `{machine}.dev.example.com`. Absent only for `protocol` `tcp` and `udp`, where the port alone decides.
   */
  readonly hostname?: string
  /** The port that visitors connect to, 1 to 65535. Default 443 with `tls` or `passthrough`, else 80. `tcp` and `udp` without a hostname need one. */
  readonly port?: number
  /** Default `http`. */
  readonly protocol?: "http" | "tcp" | "udp"
  /** By whole segments: the prefix `/api` takes `/api` and `/api/x`, not `/apix`. A text is short for a prefix. */
  readonly path?: string | { readonly prefix: string } | { readonly exact: string }
  /** As on the wire, upper case: `GET`. */
  readonly method?: string
  /** Values by lower-case field name; equal as a whole. */
  readonly headers?: Readonly<Record<string, string>>
}

/**
 * Where a rule leads: one of `machine`, `project`, `url` and `capture`.
 *
 * `{ capture: "machine" }` is the machine that the capture of the pattern names. `project` and `capture` need a port too, unless the
 * project has a default one.
 */
export interface IngressTarget {
  /** A machine by its id. */
  readonly machine?: string
  /** A project by its name: the machine that is attached to it at the time of the request. */
  readonly project?: string
  /** An address: `http://10.0.0.5:8080`, `tcp://10.0.0.5:5432`; no path, no credentials. */
  readonly url?: string
  /** The name of a capture of the rule's pattern, whose value is a machine's id. */
  readonly capture?: string
  /** 1 to 65535. Required for a machine and a capture, absent for a `url`. Default for a project: its own. */
  readonly port?: number
  /** What the app speaks. Default `http`. Absent for a `url`, whose scheme says it. */
  readonly protocol?: "http" | "https" | "h2c"
}

/** A request field that must be there with one value, given as it is or as its hash. The router needs the hash alone, fronts need the value. */
export interface RequiredHeader {
  /** In lower case, none that HTTP itself gives a meaning. */
  readonly name: string
  /** 32 to 256 characters of visible ASCII. Never shown again. */
  readonly value?: string
  /** The SHA-256 of the value in lower-case hex. */
  readonly sha256?: string
}

/** A rule in its normal form: nothing is implied, names are in lower case, and there is one way to say a thing. */
export interface DeclaredRule extends Omit<RuleSettings, "requireHeader"> {
  readonly match: DeclaredMatch
  /** One or more; a rule with one target has it with weight 1. */
  readonly targets: readonly DeclaredTarget[]
  readonly requireHeader?: DeclaredHeader
}

/** A match in its normal form. */
export interface DeclaredMatch {
  readonly protocol: "http" | "tcp" | "udp"
  /** Absent: `tcp` or `udp` by port alone. */
  readonly hostname?: HostnamePattern
  /** As given. {@link matchPort} says which one counts. */
  readonly port?: number
  readonly path?: { readonly prefix: string } | { readonly exact: string }
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** A hostname or a pattern, by labels. */
export interface HostnamePattern {
  /** As declared, in lower case: `{machine}.dev.example.com`. */
  readonly text: string
  /** With `*` for each capture: `*.dev.example.com`. Two patterns with one `wildcard` take the same hostnames. */
  readonly wildcard: string
  /** The captures from the left, each with the index of its label, from 0. */
  readonly captures: readonly { readonly name: string; readonly label: number }[]
}

/** A target in its normal form. */
export type DeclaredTarget = {
  /** An integer from 0 up, relative to the rule's other targets; 0 takes nothing. */
  readonly weight: number
} & (
  | { readonly kind: "machine"; readonly machine: string; readonly port: number; readonly protocol: TargetProtocol }
  | { readonly kind: "project"; readonly project: string; readonly port?: number; readonly protocol: TargetProtocol }
  | { readonly kind: "capture"; readonly capture: string; readonly port: number; readonly protocol: TargetProtocol }
  | {
      readonly kind: "url"
      /** Lower-case name or address, IPv6 without brackets. */
      readonly host: string
      readonly port: number
      readonly protocol: TargetProtocol
    }
)

/** What an app speaks. `tcp` and `udp` for rules of these protocols. */
export type TargetProtocol = "http" | "https" | "h2c" | "tcp" | "udp"

/** A required header in its normal form: always with its hash, with the value where it was given. */
export interface DeclaredHeader {
  readonly name: string
  readonly sha256: string
  readonly value?: string
}

/** An ingress as it is stored: in its normal form. */
export interface DeclaredIngress {
  /** Made when it is created, never used again: lower-case letters and digits. */
  readonly id: string
  readonly name: string
  /** The tenant. Absent: the operator's own, which may lead to machines of every owner. */
  readonly owner?: string
  /** From 1 up, raised by each change. Gateway API's `generation`. */
  readonly version: number
  /** In ms since 1970. */
  readonly createdAt: number
  readonly updatedAt: number
  readonly rules: readonly DeclaredRule[]
}

/** The port that visitors connect to. What is passed through is TLS, too. */
export const matchPort = ({
  match,
  tls = false,
  passthrough = false,
}: Pick<DeclaredRule, "match" | "tls" | "passthrough">): number => match.port ?? (tls || passthrough ? 443 : 80)
