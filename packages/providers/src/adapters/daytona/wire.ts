import type * as Schema from "effect/Schema"
import type { MachineState, PlatformResponse } from "../../contract/machine-provider.ts"

/** One request to Daytona's API, and how its response is read. */
export interface ApiRequest<A> {
  readonly method: "GET" | "POST"
  /** Path and query below the API's base. */
  readonly path: `/${string}`
  readonly body?: unknown
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

/** What an error response of the API says beyond its status: the machine's state, or why the provider cannot serve it. */
export type ApiMeaning = "starting" | { readonly state: string } | { readonly reason: string }

/** Everything that may change with a version of Daytona's API and edge, and nothing else. */
export interface DaytonaWire {
  readonly previewUrl: (sandbox: string, port: number) => ApiRequest<PreviewLink>
  readonly signedPreviewUrl: (sandbox: string, port: number, seconds: number) => ApiRequest<{ readonly url: string }>
  readonly sandbox: (sandbox: string) => ApiRequest<{ readonly id?: string; readonly state?: string }>
  readonly start: (sandbox: string) => ApiRequest<unknown>
  /** `sandbox`: its id. A name is accepted and has no effect. */
  readonly lastActivity: (sandbox: string) => ApiRequest<unknown>
  /** Whether it can only be an id and is no name. */
  readonly isId: (sandbox: string) => boolean
  readonly apiHeaders: (apiKey: string, organization: string | undefined) => Record<string, string>
  readonly edgeHeaders: (token: string) => Readonly<Record<string, string>>
  /** Lower-case names of request headers that the edge interprets itself. */
  readonly interceptedHeaders: readonly string[]
  /** Daytona's name of a state, translated. */
  readonly stateOf: (name: string | undefined) => MachineState
  /** Whether a sandbox in that state may still serve requests, so that only a request can tell. */
  readonly mayServe: (name: string | undefined) => boolean
  /** By the text of an error response of the API. `undefined`: nothing that its status does not say, and no text to show. */
  readonly classifyApiError: (status: number, message: string) => ApiMeaning | undefined
  readonly classifyEdgeResponse: (response: PlatformResponse) => EdgeMeaning
  /** Suffixes of `Retry-After-`, for where headers can only be read by name. */
  readonly throttlers: readonly string[]
}
