import type * as Schema from "effect/Schema"
import type { MachineState, PlatformResponse } from "../../contract/machine-provider.ts"

/** One request to Daytona's API, and how its response is read. */
export interface ApiRequest<A> {
  readonly method: "GET" | "POST"
  /** Path and query below the API's base. */
  readonly path: `/${string}`
  readonly body?: unknown
  /** What a 400 means for the machine's state, for a request that a state can refuse: the state's name. */
  readonly refusedState?: string
  /** The part of a 2xx response that is used. */
  readonly response: Schema.ConstraintDecoder<A>
}

/** Where a port of a sandbox is reached, and the token that opens it. */
export interface PreviewLink {
  readonly url: string
  readonly token: string
}

/** What a response of the edge itself means. `unclear`: only the API can tell. */
export type EdgeMeaning =
  | "credentials"
  | "not-running"
  | "rate-limited"
  | "runner-unavailable"
  | "page"
  | "unclear"
  | "other"

/** Everything that may change with a version of Daytona's API and edge, and nothing else. */
export interface DaytonaWire {
  readonly previewUrl: (sandbox: string, port: number) => ApiRequest<PreviewLink>
  readonly signedPreviewUrl: (sandbox: string, port: number, seconds: number) => ApiRequest<{ readonly url: string }>
  readonly sandbox: (sandbox: string) => ApiRequest<{ readonly state?: string }>
  readonly start: (sandbox: string) => ApiRequest<unknown>
  readonly lastActivity: (sandbox: string) => ApiRequest<unknown>
  readonly apiHeaders: (apiKey: string, organization: string | undefined) => Record<string, string>
  readonly edgeHeaders: (token: string) => Readonly<Record<string, string>>
  /** Lower-case names of request headers that the edge interprets itself. */
  readonly interceptedHeaders: readonly string[]
  /** Daytona's name of a state, translated. */
  readonly stateOf: (name: string | undefined) => MachineState
  /** Whether a sandbox in that state may still serve requests, so that only a request can tell. */
  readonly mayServe: (name: string | undefined) => boolean
  readonly classifyEdgeResponse: (response: PlatformResponse) => EdgeMeaning
  /** Suffixes of `Retry-After-`, for where headers can only be read by name. */
  readonly throttlers: readonly string[]
}
