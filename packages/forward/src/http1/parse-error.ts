import type { ForwardErrorTag } from "../error-rows.ts"

/**
 * Why a message is refused: it is invalid, or two readers could understand it differently. Its connection cannot be used any
 * further.
 */
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
  /** A sentence for logs. Contains nothing of the message. */
  readonly reason: string
}

export const parseError = (tag: ParseError["tag"], reason: string): ParseError => ({ type: "refusal", tag, reason })
