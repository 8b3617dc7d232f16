import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type { MachineState } from "../../contract/machine-provider.ts"
import type { ApiMeaning, DaytonaWire } from "./wire.ts"

/** The API as of v0.190 (the last public server) to 0.220, at `/api` without a version in its path. */
export const apiV0: DaytonaWire = {
  previewUrl: (sandbox, port) => ({
    method: "GET",
    path: `/sandbox/${sandbox}/ports/${port}/preview-url`,
    response: Schema.Struct({ url: Schema.String, token: Schema.String }),
  }),
  signedPreviewUrl: (sandbox, port, seconds) => ({
    method: "GET",
    path: `/sandbox/${sandbox}/ports/${port}/signed-preview-url?expiresInSeconds=${seconds}`,
    response: Schema.Struct({ url: Schema.String }),
  }),
  sandbox: (sandbox) => ({
    method: "GET",
    path: `/sandbox/${sandbox}`,
    response: Schema.Struct({ id: Schema.optionalKey(Schema.String), state: Schema.optionalKey(Schema.String) }),
  }),
  start: (sandbox) => ({
    method: "POST",
    path: `/sandbox/${sandbox}/start`,
    response: Schema.Unknown,
  }),
  lastActivity: (sandbox) => ({
    method: "POST",
    path: `/sandbox/${sandbox}/last-activity`,
    body: {},
    response: Schema.Unknown,
  }),

  isId: (sandbox) => /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(sandbox),

  apiHeaders: (apiKey, organization) => ({
    accept: "application/json",
    authorization: `Bearer ${apiKey}`,
    ...(organization === undefined ? {} : { "x-daytona-organization-id": organization }),
  }),

  edgeHeaders: (token) => ({
    "X-Daytona-Preview-Token": token,
    // Without it the edge responds to a browser's User-Agent with a warning page of its own.
    "X-Daytona-Skip-Preview-Warning": "true",
    // Without it the edge responds to the app's preflights itself.
    "X-Daytona-Disable-CORS": "true",
  }),

  // `authorization`: the edge of a private sandbox sends the app's own bearer token to its API and counts the failures against
  // our address. `x-forwarded-*`: it adds its own to them. `x-daytona-skip-last-activity-update`: a client's copy would let
  // the sandbox stop while it is used. Not `origin`: with CORS disabled the edge ignores it, and a machine proxy without keys
  // drops tunnelled fields, so that the app would read a cross-site request as one without an origin. Not `cookie`: the edge
  // reads its own cookie only when there is no preview token, and there always is one. `host` is never sent by a fetcher.
  interceptedHeaders: [
    "authorization",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-daytona-skip-last-activity-update",
  ],

  stateOf: (name) => (name !== undefined && Object.hasOwn(states, name) ? states[name]! : "unknown"),

  mayServe: (name) => name === "resizing" || name === "snapshotting" || name === "forking",

  classifyApiError: (status, message) => apiErrors.find(([at, text]) => at === status && text.test(message))?.[2],

  classifyEdgeResponse: (response) => {
    const { status, body } = response
    // To a login page, when the token was rotated or the sandbox does not exist; also the toolbox's 401.
    if ((status >= 300 && status < 400) || status === 401 || status === 403) return "credentials"
    if (status === 429) return "rate-limited"
    const found = body === undefined ? undefined : Option.getOrUndefined(decodeEdgeBody(body))
    if (found !== undefined) {
      if (notRunning.has(found.code) || found.message?.includes("Is the Sandbox started?") === true) {
        return "not-running"
      }
      if (found.code === "RUNNER_UNREACHABLE") return "runner-unavailable"
      if (/failed to get (?:runner info|sandbox public status)/.test(found.message ?? "")) return "runner-unavailable"
    }
    // 404 is also sent for a container that moved a minute ago, so it is never "not found" by itself; 502 for a closed port.
    if (status === 400 || status === 404 || (status >= 502 && status <= 504) || (status >= 520 && status <= 530)) {
      return "unclear"
    }
    return status === 200 && response.header("content-type")?.startsWith("text/html") === true ? "page" : "other"
  },

  throttlers: ["authenticated", "sandbox-lifecycle", "failed-auth"],
}

// Every state seen in v0.190 and 0.220. The list grows, so any other is `unknown` and no failure.
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

// Texts of the server v0.190; those about limits begin with what is limited.
const apiErrors: readonly (readonly [status: number, text: RegExp, meaning: ApiMeaning])[] = [
  [400, /^Sandbox is not in valid state/, { state: "not in valid state" }],
  [400, /^Sandbox is in an errored state/, { state: "in an errored state" }],
  // The server waits 30 s for a start, and the start goes on.
  [400, /^Sandbox failed to start: Timeout/, "starting"],
  [400, /^Sandbox failed to start/, { state: "not able to start" }],
  [400, /^(?:Sandbox s|S)tate change in progress/, "starting"],
  [400, /^Total [\w ]+ limit exceeded/, { reason: "quota exceeded" }],
  [400, /^Runner is not ready/, { reason: "runner unavailable" }],
  [403, /^Organization is suspended/, { reason: "organization suspended" }],
  [403, /^Region .{1,100} is not available/, { reason: "region not available" }],
  [403, /per sandbox|limit exceeded/, { reason: "quota exceeded" }],
  [422, /^Resuming is not supported/, { state: "paused, and cannot be resumed" }],
]

const decodeEdgeBody = Schema.decodeUnknownOption(
  Schema.fromJsonString(
    Schema.Struct({ code: Schema.optionalKey(Schema.String), message: Schema.optionalKey(Schema.String) }),
  ),
)

const notRunning: ReadonlySet<string | undefined> = new Set(["SANDBOX_NOT_RUNNING", "SANDBOX_NOT_STARTED"])
