import type { Ingress } from "../../resource/ingress.ts"

/** A feature of ingresses, as Gateway API's conformance profiles have them: every front has the core, and says which others it has. */
export interface FrontCase {
  /** `PathPrefix` */
  readonly feature: string
  readonly level: "core" | "extended"
  /** What it means, in one sentence. */
  readonly claim: string
  /** What is declared, oldest first. `url` is the address of a target by its name. */
  readonly ingresses: (
    url: (target: string, scheme?: "http" | "https" | "h2c" | "tcp" | "udp") => string,
  ) => readonly Ingress[]
  readonly asks: readonly FrontAsk[]
}

/** A request, or a connection, and what has to come of it. */
export interface FrontAsk {
  readonly request: FrontRequest
  readonly expect: FrontExpectation
}

/** What a visitor sends. */
export interface FrontRequest {
  /** Default `http`. */
  readonly protocol?: "http" | "tcp" | "udp"
  /** The port that is connected to. Default 80, with `tls` 443. */
  readonly port?: number
  /** By TLS. Default false. */
  readonly tls?: boolean
  /** The `Host` field, and with `tls` the name in the ClientHello. */
  readonly host?: string
  /** Path and query. Default `/`. */
  readonly path?: string
  readonly method?: string
  readonly headers?: Readonly<Record<string, string>>
  /** The visitor's address. Default 127.0.0.1. */
  readonly client?: string
}

/** What has to come of it; what is absent may be anything. */
export interface FrontExpectation {
  /** The name of the target that has to get it, or names of which one has. */
  readonly target?: string | readonly string[]
  /** The status, where no target gets it. */
  readonly status?: number
  readonly location?: string
  /** Fields of the response by lower-case name; `undefined`: absent. */
  readonly headers?: Readonly<Record<string, string | undefined>>
  /** Fields that the target sees, by lower-case name; `undefined`: absent. */
  readonly seen?: Readonly<Record<string, string | undefined>>
}

/** What came of it. */
export interface FrontOutcome {
  /** The target that got it. */
  readonly target?: string
  readonly status?: number
  readonly location?: string
  readonly headers?: Readonly<Record<string, string>>
  readonly seen?: Readonly<Record<string, string>>
}
