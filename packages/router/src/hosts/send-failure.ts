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

/** A failed attempt by a socket, as the program takes it. */
export const sendFailure = ({ tag, sent, cause }: UpstreamError): SendFailure =>
  new SendFailure(kinds[tag], sent, cause)
