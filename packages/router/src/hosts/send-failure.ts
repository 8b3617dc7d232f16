import { SendFailure } from "@project-ingress/forward/fetch"
import type { SendFailureKind } from "@project-ingress/forward/fetch"
import type { UpstreamError } from "@project-ingress/forward/sockets"

const kinds = {
  PortClosed: "refused",
  UpstreamTimeout: "timeout",
  UpstreamFailed: "reset",
  UpstreamMalformed: "other",
  UpstreamUntrusted: "other",
  ProviderUnavailable: "other",
} as const satisfies Record<UpstreamError["tag"], SendFailureKind>

/** What the program is told of an attempt by a socket that failed. */
export const sendFailure = ({ tag, sent, cause }: UpstreamError): SendFailure =>
  new SendFailure(kinds[tag], sent, cause)
