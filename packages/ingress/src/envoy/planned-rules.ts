import type { ExportProblem } from "../fronts/front.ts"
import type { DeclaredIngress, DeclaredRule } from "../resource/ingress.ts"
import type { Destination } from "./clusters.ts"

/** A rule of HTTP on one listener. */
export interface PlannedRoute {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  /**
   * - `{ clusters }`: goes to its targets.
   * - `{ redirectTo }`: is redirected to https on that port.
   * - `"left out"`: has no target now. Its requests are 503: another rule's target must not get them.
   */
  readonly action: Destination | { readonly redirectTo: number } | "left out"
}

/** A rule by connection: of TCP, with or without a server name, or of UDP. */
export interface PlannedConnection {
  readonly ingress: DeclaredIngress
  readonly rule: DeclaredRule
  /** Absent: no target has an address now. Connections are closed, where a less specific rule would take them. */
  readonly destination: Destination | undefined
}

/** What listens on one port. */
export interface PlannedPort {
  readonly port: number
  readonly plain: PlannedRoute[]
  readonly tls: PlannedRoute[]
  /** By server name, `*.example.com` for a pattern. */
  readonly names: Map<string, PlannedConnection>
  /** Whatever comes to the port. */
  tcp: PlannedConnection | undefined
  udp: PlannedConnection | undefined
}

/** What Envoy can carry out, by port, and why not the rest. */
export interface PlannedRules {
  readonly ports: readonly PlannedPort[]
  readonly problems: readonly ExportProblem[]
}
