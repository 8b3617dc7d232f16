import type { GeneratedResponse } from "@project-ingress/forward"
import type { Target } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"
import type { PortSettings, RouteKey, RouteRecord } from "../stores/record.ts"
import type { HeaderEdit } from "./header-edit.ts"
import type { Inspection } from "./inspection.ts"
import type { PolicyError } from "./policy-error.ts"
import type { Visitor } from "./visitor.ts"

/** A request's head as a policy sees it. Everything in it but `scheme` and `clientAddress` is the client's own claim. */
export interface PolicyRequest {
  readonly method: string
  readonly scheme: "http" | "https"
  /** The authority as sent, port included. */
  readonly host: string
  /** The port in the authority, else the scheme's default: where the visitor's browser says that it connects to. */
  readonly port: number
  /** Path and query as sent, not normalised: parse it before you decide on it. */
  readonly path: string
  /**
   * A field by lower-case name, as the client sent it: untrusted. Several lines are joined, as Fetch does (RFC 9110 §5.3;
   * cookies by `; `), so that no line is hidden from a policy and seen by the app. `Origin` is the visitor's own.
   */
  readonly header: (lowerName: string) => string | undefined
  /** The client's IP address, where the host knows it. */
  readonly clientAddress: string | undefined
  /** True for a WebSocket handshake, which deserves the same decision as a request. */
  readonly upgrade: boolean
  /** The visitor, as an earlier policy has proven; `undefined`: none has. */
  readonly visitor: Visitor | undefined
  /**
   * Why the router asks by itself, without a request: `access` of one that was let in and is still open may have been withdrawn, so that no
   * verdict may be older than a second; or it lists the `ports` that the visitor may open. Decide as ever, but count nothing and use nothing
   * up. `undefined`: a client asks.
   */
  readonly recheck?: "access" | "ports" | undefined
  /** Aborted when the client leaves. */
  readonly signal: AbortSignal
  /** Lets work go on after the response; on Workers the context's own. */
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** What a hostname leads to, after the record, its rules and its settings were read. */
export interface Route {
  /** The key that the store knew. */
  readonly key: RouteKey
  /** What the hostname says. */
  readonly target: Target
  /** Where the key leads now: decide on this, not on the name. */
  readonly record: RouteRecord
  /** The machine arrived at. Absent for a redirect, a removed route and a project without a machine. */
  readonly machine?: Machine
  /** The port arrived at, 1 to 65535. Absent where there is no machine, or no such service. */
  readonly port?: number
  /** The settings of that machine and port, the same under every hostname that leads there. Empty without a machine. */
  readonly settings: PortSettings
}

/**
 * What a policy decides. `undefined` lets the request go on, and so does `visitor`, which says who the visitor is: later policies see it instead
 * of what was known before. Everything else ends the request: `deny` by the error's own row, `redirect` by that status and
 * `Location`, `respond` by a response of the policy's own, and `inspect`, in `onRoute` alone, by one that is made of what listens in
 * the route's machine.
 */
export type Outcome =
  | undefined
  | { readonly visitor: Visitor }
  | { readonly deny: PolicyError }
  | { readonly redirect: { readonly status: 301 | 302 | 303 | 307 | 308; readonly location: string } }
  | { readonly respond: GeneratedResponse }
  | { readonly inspect: Inspection }

// oxlint-disable-next-line typescript/no-invalid-void-type -- a policy that only looks returns nothing
type Decided = Outcome | void

/**
 * Decisions about a request in four phases, of which a policy has those that it needs. Policies run in the order given; the
 * first outcome counts. One that throws, or decides something that is no {@link Outcome}, refuses the request (500).
 */
export interface Policy {
  /** For events and `explain`. */
  readonly name: string
  /**
   * The settings of a port that this policy carries out. One that no policy of the router carries out closes the port, whatever other
   * policies say: a private port is 403 to everybody, and with any other of these settings it is 501. Default: none.
   */
  readonly enforces?: readonly EnforcedSetting[]
  /**
   * Names of cookies that this policy sets and reads; one that ends with `*` is a prefix. No app gets them and none can set them, as
   * those of `isolateCookies.reserved`. Default: none.
   */
  readonly reservedCookies?: readonly string[]
  /**
   * True for a policy that decides about the visitor in `onRoute`. A later policy then proves no other one, unless it is `granted`: nobody would
   * have decided about that one, so such a request is 500. Default false.
   */
  readonly needsVisitor?: boolean
  /**
   * Whether `explain` may ask this policy about a request that nobody made: what it decides then must count nothing, use nothing up, write
   * nothing and set nothing off. A function tells it for one request: a sign-in policy, for all paths but its callback. Default false: it is
   * named and not evaluated.
   */
  readonly explainable?: boolean | ((request: PolicyRequest) => boolean)
  /**
   * Before the look-up: a canonical redirect, an address limit, a sign-in callback. On a hostname outside the grammar's
   * domains it runs once the store has said that the hostname is ours, because until then the request may be the caller's.
   */
  onRequest?(request: PolicyRequest): Decided | Promise<Decided>
  /** On the resolved route, before anything wakes and before anything is sent. */
  onRoute?(request: PolicyRequest, route: Route): Decided | Promise<Decided>
  /** Edits the client's fields for the machine: takes a cookie out, adds an identity. The router's own are added afterwards. */
  onForward?(edit: HeaderEdit, route: Route): void
  /** Edits the fields of a machine's response for the client. Not called for responses that the router generates. */
  onResponse?(head: ResponseSummary, edit: HeaderEdit, route: Route): void
}

/** A setting of a port that means nothing unless a policy carries it out. */
export type EnforcedSetting = (typeof enforcedSettings)[number]

/** All of them. */
export const enforcedSettings = ["visibility", "allowCidrs", "requireHeader", "responseHeaders", "embed"] as const

/** The head of a machine's response. */
export interface ResponseSummary {
  readonly status: number
  /** The first value of a field, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
}

/** A policy, or a function that is short for one with `onRoute` alone; its name is the function's. */
export type PolicyInput = Policy | NonNullable<Policy["onRoute"]>
