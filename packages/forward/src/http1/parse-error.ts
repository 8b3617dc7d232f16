import type { ForwardErrorTag } from "../error-rows.ts"

/** What does not have exactly one meaning, and is therefore refused. Nothing more is read from the connection. */
export interface ParseError {
  readonly type: "refusal"
  readonly tag: Extract<
    ForwardErrorTag,
    | "RequestMalformed"
    | "RequestHeadTooLarge"
    | "RequestTargetTooLong"
    | "ExpectationFailed"
    | "MethodRefused"
    | "MethodUnknown"
    | "CodingUnknown"
    | "VersionUnknown"
    | "UpstreamMalformed"
    | "UpstreamFailed"
  >
  /** For logs; holds nothing of the message. */
  readonly reason: string
}

export const parseError = (tag: ParseError["tag"], reason: string): ParseError => ({ type: "refusal", tag, reason })
