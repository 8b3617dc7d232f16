import type { HopHeaderNames } from "@project-ingress/forward"
import { forwardFetch, SendFailure } from "@project-ingress/forward/fetch"
import { classifyResponse } from "./attempt-failure.ts"
import type { AttemptResponse } from "./attempt-request.ts"
import type { Destination } from "./destination.ts"
import type { Endpoint } from "../contract/machine-provider.ts"
import { encapsulateHeaders } from "../transport/request-headers.ts"
import { fetchAddress } from "../transport/fetch-transport.ts"
import { withTimeout } from "./with-timeout.ts"

/** Asks whether anything responds at an endpoint. Resolves with a response's head, rejects if there is none. */
export type ReadinessProbe = (
  endpoint: Endpoint,
  signal: AbortSignal,
) => Promise<Omit<AttemptResponse<unknown>, "response">>

/** How long a probe may take, in ms. */
const PROBE_TIMEOUT_MS = 2_000

/** Whether requests can be sent there: the machine responds, or there is an error that waiting does not mend. Never rejects. */
export const isReady = async (
  probe: ReadinessProbe,
  to: Destination,
  endpoint: Endpoint,
  headerNames: HopHeaderNames,
): Promise<boolean> => {
  try {
    const head = await withTimeout(PROBE_TIMEOUT_MS, new AbortController().signal, (signal) => probe(endpoint, signal))
    const failure = classifyResponse(to, endpoint, { ...head, response: undefined }, headerNames)
    return failure?._tag !== "NeedsStatus"
  } catch (cause) {
    // Of a machine that `fetch` cannot send to, as one with a pinned key on Bun, requests find out by themselves.
    return cause instanceof SendFailure && cause.kind === "unsupported"
  }
}

/**
 * The default probe: a request of its own, with neither target nor ticket, which a machine's proxy refuses before any app sees
 * it. Where there is no machine proxy it does reach the app, as `HEAD /`.
 */
export const probeByFetch =
  (headerNames: HopHeaderNames): ReadinessProbe =>
  async (endpoint, signal) => {
    const response = await forwardFetch({
      ...fetchAddress(endpoint, headerNames),
      target: "/",
      method: endpoint.machineProxy === false ? "HEAD" : "GET",
      headers: encapsulateHeaders([], [], endpoint, headerNames),
      body: null,
      signal,
    })
    response.body?.cancel().catch(() => {})
    return { status: response.status, header: (name) => response.headers.get(name) ?? undefined }
  }
