import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { MachineState, PlatformResponse } from "../../contract/machine-provider.ts"

/** One question to the control plane. */
export interface ApiRequest<A> {
  readonly method: "GET" | "POST"
  /** Path and query below the API's base. */
  readonly path: `/${string}`
  readonly body?: unknown
  /** What a 400 says about the machine's state, for a question that a state can refuse. */
  readonly refusedState?: string
  /** The part of a 2xx answer that is used. */
  readonly answer: Schema.ConstraintDecoder<A>
}

export interface PreviewLink {
  readonly url: string
  readonly token: string
}

/** What the edge says by an answer of its own. `unclear`: only the control plane can tell. */
export type EdgeWord =
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
  /** Request headers that the edge takes for its own. */
  readonly interceptedHeaders: readonly string[]
  readonly stateOf: (word: string | undefined) => MachineState
  /** Whether a sandbox in that state may serve all the same, so that only a request can tell. */
  readonly mayServe: (word: string | undefined) => boolean
  readonly edgeWord: (answer: PlatformResponse) => EdgeWord
  /** Which suffixes of `Retry-After-` to try where a head can only be asked by name. */
  readonly throttlers: readonly string[]
}

// Every word seen in v0.190 and 0.220; the list grows, so any other is `unknown` and no failure.
const states: Readonly<Record<string, MachineState>> = {
  started: "running",
  creating: "starting",
  restoring: "starting",
  starting: "starting",
  resuming: "starting",
  pulling_snapshot: "starting",
  pending_build: "starting",
  building_snapshot: "starting",
  resizing: "starting",
  snapshotting: "starting",
  forking: "starting",
  stopping: "stopping",
  pausing: "stopping",
  archiving: "stopping",
  stopped: "stopped",
  archived: "stopped",
  paused: "suspended",
  error: "failed",
  build_failed: "failed",
  destroyed: "gone",
  destroying: "gone",
}

const edgeBody = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ code: Schema.optionalKey(Schema.String), message: Schema.optionalKey(Schema.String) }),
  ),
)

const notRunning: ReadonlySet<string | undefined> = new Set(["SANDBOX_NOT_RUNNING", "SANDBOX_NOT_STARTED"])

/** The API as of v0.190 (the last public server) to 0.220, at `/api` without a version in its path. */
const v0: DaytonaWire = {
  previewUrl: (sandbox, port) => ({
    method: "GET",
    path: `/sandbox/${sandbox}/ports/${port}/preview-url`,
    answer: Schema.Struct({ url: Schema.String, token: Schema.String }),
  }),
  signedPreviewUrl: (sandbox, port, seconds) => ({
    method: "GET",
    path: `/sandbox/${sandbox}/ports/${port}/signed-preview-url?expiresInSeconds=${seconds}`,
    answer: Schema.Struct({ url: Schema.String }),
  }),
  sandbox: (sandbox) => ({
    method: "GET",
    path: `/sandbox/${sandbox}`,
    answer: Schema.Struct({ state: Schema.optionalKey(Schema.String) }),
  }),
  start: (sandbox) => ({
    method: "POST",
    path: `/sandbox/${sandbox}/start`,
    // `Sandbox is not in valid state`
    refusedState: "not in valid state",
    answer: Schema.Unknown,
  }),
  lastActivity: (sandbox) => ({
    method: "POST",
    path: `/sandbox/${sandbox}/last-activity`,
    body: {},
    answer: Schema.Unknown,
  }),

  apiHeaders: (apiKey, organization) => ({
    accept: "application/json",
    authorization: `Bearer ${apiKey}`,
    ...(organization === undefined ? {} : { "x-daytona-organization-id": organization }),
  }),

  edgeHeaders: (token) => ({
    "X-Daytona-Preview-Token": token,
    // Without it whoever forwards a browser's User-Agent gets a page of the edge's own.
    "X-Daytona-Skip-Preview-Warning": "true",
    // Without it the edge answers the app's preflights itself.
    "X-Daytona-Disable-CORS": "true",
  }),

  // `authorization`: the edge of a private sandbox sends the app's own bearer to its API and counts the failures against our
  // address. `x-forwarded-*`: it adds its own beside them. `x-daytona-skip-last-activity-update`: a client's copy would let
  // the sandbox fall asleep under its user. Not `origin`: with CORS disabled the edge does not look at it, and a proxy
  // that runs without keys drops what is tunnelled: the app would take a foreign page for none. Not `cookie`: the edge asks
  // for its cookie only after the preview token, which it always has. `host` is never sent by a fetcher.
  interceptedHeaders: [
    "authorization",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-daytona-skip-last-activity-update",
  ],

  stateOf: (word) => (word !== undefined && Object.hasOwn(states, word) ? states[word]! : "unknown"),

  mayServe: (word) => word === "resizing" || word === "snapshotting" || word === "forking",

  edgeWord: (answer) => {
    const { status, body } = answer
    // To a login page, when the token was rotated or the sandbox is not there; also the toolbox's 401.
    if ((status >= 300 && status < 400) || status === 401 || status === 403) return "credentials"
    if (status === 429) return "rate-limited"
    const said = body === undefined ? undefined : Option.getOrUndefined(edgeBody(body))
    if (said !== undefined) {
      if (notRunning.has(said.code) || said.message?.includes("Is the Sandbox started?") === true) return "not-running"
      if (said.code === "RUNNER_UNREACHABLE") return "runner-unavailable"
      if (/failed to get (?:runner info|sandbox public status)/.test(said.message ?? "")) return "runner-unavailable"
    }
    // 404 as well for a container that moved a minute ago, so never "not found" by itself; 502 as well for a closed port.
    if (status === 400 || status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) {
      return "unclear"
    }
    return status === 200 && answer.header("content-type")?.startsWith("text/html") === true ? "page" : "other"
  },

  throttlers: ["authenticated", "sandbox-lifecycle", "failed-auth"],
}

export const wires = { v0 } satisfies Record<string, DaytonaWire>
