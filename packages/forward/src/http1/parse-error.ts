import type { AnswerTag } from "../error-response.ts"

/** What cannot be understood in one way only, and is therefore refused. The connection is of no further use. */
export interface Refusal {
  readonly type: "refusal"
  readonly tag: Extract<
    AnswerTag,
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

export const refuse = (tag: Refusal["tag"], reason: string): Refusal => ({ type: "refusal", tag, reason })
