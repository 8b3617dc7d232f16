import type { RouteKey } from "@project-ingress/hostname"
import type { Machine } from "@project-ingress/providers"

export type { Machine, RouteKey }

/** Where a key leads: JSON, denormalised, so that one read decides one request. Distinguished by `kind`. */
export type RouteRecord = MachineRoute | DetachedRoute | RedirectRoute | RemovedRoute

/** What every record carries. */
export interface Versioned {
  /** An integer from 1 up. Never goes backwards for a key, in any layer of a store. */
  readonly version: number
  /** The fencing token: an integer from 0 up, raised at each attach and detach. */
  readonly epoch: number
  /** The tenant. Limits, caches and evictions are counted by it. 1 to 256 characters. */
  readonly owner?: string
  /** An integer from 0 up, raised when all sessions and links given out for the route are revoked. Default 0. */
  readonly generation?: number
  /** The control plane's own id of the project. 1 to 256 characters. */
  readonly externalId?: string
  /** In ms since 1970. From then on the record counts as a miss. */
  readonly expiresAt?: number
  /** For the control plane: never interpreted by a router, never shown to a visitor. */
  readonly metadata?: Readonly<Record<string, unknown>>
}

/**
 * Leads to a machine. The settings at the top are those of every port; what `ports` says of one port wins, field by
 * field. Which settings count is decided by the machine and port arrived at: see `settingsOf`.
 */
export interface MachineRoute extends Versioned, MachineSettings {
  readonly kind: "machine"
  /** The machine attached now. */
  readonly machine: Machine
  /** More machines that serve the same app. They have the record's owner and its settings. */
  readonly replicas?: readonly Machine[]
  /** How a request's machine is chosen where there are replicas. Default `sticky`. */
  readonly balance?: Balance
  /** The port of a hostname that names none, 1 to 65535. Default: the grammar's. */
  readonly port?: number
  /** Ports by service name; they win over the grammar's. */
  readonly services?: Readonly<Record<string, number>>
  /** In order of precedence: the first rule that matches chooses machine and port. They share one origin. */
  readonly rules?: readonly Rule[]
  /**
   * What becomes of a request that none of `rules` takes, where the hostname names neither port nor service. `not-found`: there is no
   * such route (404). Default: it goes to the record's machine.
   */
  readonly unmatched?: "not-found"
  /**
   * The settings of machines that only `rules` lead to, by machine id. A machine that is neither attached, nor a replica,
   * nor listed here is private on every port.
   */
  readonly machines?: Readonly<Record<string, MachineSettings>>
  /** The region of the machines, 1 to 256 characters. A router that has `regions` sends requests there; any other reaches the machines itself. */
  readonly region?: string
}

/**
 * - `sticky`: a visitor, by IP address, stays with one machine while it is well, and returns to it afterwards.
 * - `round-robin`: one machine after the other.
 * - `least-requests`: the machine with the fewest requests in flight; a stream or a WebSocket counts until it ends.
 *
 * The last two need a balancer, which `serveNode` has and `createRouter` is given; without one it is `sticky`.
 */
export type Balance = "sticky" | "round-robin" | "least-requests"

/** The project exists and no machine is attached: 503 `MACHINE_DETACHED`. */
export interface DetachedRoute extends Versioned {
  readonly kind: "detached"
  /** Who may see that the project exists. */
  readonly visibility?: Visibility
}

/** Another place, as an HTTP redirect. */
export interface RedirectRoute extends Versioned {
  readonly kind: "redirect"
  /**
   * An absolute `http:` or `https:` URL; or a project, whose hostname is formatted by the grammar with the visitor's own
   * port or service: `4096__old` becomes `4096__new`.
   */
  readonly to: string | { readonly project: string }
  readonly status: 301 | 302 | 307 | 308
  /** Who may see where it leads. */
  readonly visibility?: Visibility
}

/** A tombstone: the name was in use and is not given to another: 410 `ROUTE_REMOVED`. */
export interface RemovedRoute extends Versioned {
  readonly kind: "removed"
  /** Who may see that it existed. */
  readonly visibility?: Visibility
}

/** `private`: only for whom a policy lets through. Absent: private wherever the visibility policy is mounted. */
export type Visibility = "public" | "private"

/** The settings of one machine: of all its ports, and of single ports, which win field by field. */
export interface MachineSettings extends PortSettings {
  /** By port number, 1 to 65535. */
  readonly ports?: Readonly<Record<number, PortSettings>>
}

/**
 * The settings of one port of one machine of one owner. They are the same under every hostname that leads there.
 */
export interface PortSettings {
  readonly visibility?: Visibility
  /**
   * The origin that the app takes for its own: in `Host`, in `Origin` and `Referer` of its own project, and, the other way, in
   * redirects, links and CORS fields. `localhost`: `http://localhost:<port>`, as if the browser ran inside the machine. `public`:
   * what the visitor typed, with `X-Forwarded-Host`, `-Proto`, `-Port` and `Forwarded`. `{ host }`: that `host[:port]`, with the
   * same fields. Default `localhost`; for an app without a machine proxy its own address.
   */
  readonly appOrigin?: "localhost" | "public" | { readonly host: string }
  /**
   * True: the app is sent `X-Forwarded-Proto`, and its own origin has the visitor's scheme: for an app behind
   * `appOrigin: "localhost"` that has to know of https, as for a `Secure` cookie. Default false.
   */
  readonly forwardedProto?: boolean
  /**
   * What the port speaks; default `http`, which is HTTP/1.1 with WebSockets. `https`: the same over TLS. `h2c`: HTTP/2 by prior knowledge,
   * without TLS, as servers of gRPC speak it; see docs/grpc.md. `tcp` and `udp`: bytes and datagrams, by a tunnel or by a listener of its
   * own; a request by HTTP is refused. At an app's own address without a machine proxy the origin's scheme says whether there is TLS.
   */
  readonly protocol?: "http" | "https" | "h2c" | "tcp" | "udp"
  /**
   * For `protocol: "tcp"` behind `serveTcp`: the app's connections begin with a header of the PROXY protocol in this version, which says who
   * the client is. The app must expect it. A tunnel to such a port is refused: its client would write that header. Default: none.
   */
  readonly proxyProtocol?: 1 | 2
  /**
   * How the certificate of a port with `"protocol": "https"` is verified, and nothing of any other port. `verify: false`: not at all, for a
   * self-signed one on loopback. `serverName`: the hostname that is asked for and must be in the certificate; default localhost, at an
   * app's own address the name there. Default: verified.
   */
  readonly tls?: { readonly verify: boolean; readonly serverName?: string }
  /**
   * Whose requests start a sleeping machine, of those that the policies let in. `any`: everybody's but a prefetch and a preflight.
   * `visitors`: those of a visitor whom a policy has proven. `never`: nobody's, they are 503 `MACHINE_NOT_RUNNING` until somebody else
   * starts it. Default: by the table of docs/waking.md: people, webhooks and WebSockets, but no crawlers. For a provider whose machines
   * every request starts, `status` says who may be let through; without it `visitors` and `never` are refused (500).
   */
  readonly wake?: "visitors" | "any" | "never"
  /**
   * Origins whose pages may frame this port, beside its own: `https://www.example.com`, in lower case, with a port unless it is the scheme's. For them
   * cookies of ours are `SameSite=None; Partitioned`. Needs the policy `embedding`. Default: the app alone says who frames it, and cookies of ours
   * are not sent in frames of other sites.
   */
  readonly embed?: readonly string[]
  /**
   * Asks each machine of the route now and then whether its app is well, while the route has visitors; one that is not gets no
   * requests while another is well. A route's only machine gets all of them whatever it answers. Of the ports that the record or the
   * grammar names: its default one, those of services, `ports` and targets of `rules`. Needs a balancer, which `serveNode` has and
   * `createRouter` is given. Default: only requests show how a machine is.
   */
  readonly healthCheck?: HealthCheck
  /**
   * The slowest request body that is let through, in bytes a second after 5 s: on average, and until the response begins. 0: as slow as
   * it likes. Default: that of the host, of `serveNode` 240. In a Worker the platform reads bodies, and it has no effect.
   */
  readonly minBodyRate?: number
  /**
   * Networks that visitors must come from: `10.0.0.0/8`, `2001:db8::/32`. An empty list lets nobody in. The policy `allowCidrs` carries it
   * out; without it the port is 501.
   */
  readonly allowCidrs?: readonly string[]
  /**
   * A field that requests must carry, and the SHA-256 of its value in lower-case hex. The policy `requireHeader` carries it out, and no
   * app gets the field; without it the port is 501.
   */
  readonly requireHeader?: { readonly name: string; readonly sha256: string }
  /**
   * Changes of the fields of the app's responses, by the policy `responseHeaders`; without it the port is 501. Neither cookies nor
   * fields of the connection.
   */
  readonly responseHeaders?: HeaderRules
}

/** A `GET` that tells whether an app is well. Two in a row count, either way. */
export interface HealthCheck {
  /** Path and query, beginning with `/`. */
  readonly path: string
  /** How often, in ms, 1 000 to 86 400 000. Default 10 000. A response must begin within that time, and within 5 000. */
  readonly intervalMs?: number
  /** The statuses of a healthy app. Default 200 to 399. */
  readonly statuses?: readonly number[]
}

/** Changes of a message's header fields. */
export interface HeaderRules {
  readonly set?: Readonly<Record<string, string>>
  readonly remove?: readonly string[]
}

/** Sends some requests to another port or machine. */
export interface Rule {
  /** All that is given must match; an empty match takes every request. */
  readonly match: RuleMatch
  /** One or more. A request goes to one of them, by weight. */
  readonly targets: readonly RuleTarget[]
}

/** Which requests a rule takes. */
export interface RuleMatch {
  /** By whole segments: the prefix `/api` takes `/api` and `/api/x`, not `/apix`. Both begin with `/`. */
  readonly path?: { readonly prefix: string } | { readonly exact: string }
  /** As on the wire, upper case: `GET`. */
  readonly method?: string
  /** Values by lower-case field name; equal as a whole. */
  readonly headers?: Readonly<Record<string, string>>
}

/** Where a rule sends requests. */
export interface RuleTarget {
  /** Default: the record's machine. Its owner is the record's: whoever writes the record checks that. */
  readonly machine?: Machine
  /** 1 to 65535. Default: the port that the hostname asks for. */
  readonly port?: number
  /** An integer from 0 up, relative to the other targets; 0 takes no requests. Default 1. */
  readonly weight?: number
}
