import type { ForwardErrorTag } from "../error-rows.ts"

/** What cannot be understood in one way only, and is therefore refused. The connection is of no further use. */
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
