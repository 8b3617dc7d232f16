import type { HeaderList } from "@project-ingress/forward"
import { nextRequestId } from "@project-ingress/forward/internal"
import { fetchTransport } from "@project-ingress/providers/internal"
import { sendByFetch } from "./send-by-fetch.ts"
import type { RequestOutcome, RouterProgram } from "../router-program.ts"

/** A request that the platform makes itself. */
export interface Delivery {
  /** The hostname that it is for. */
  readonly host: string
  /** Path and query. */
  readonly path: string
  readonly contentType: string
  readonly body: Uint8Array
  /** Fields of the platform's own family, which no visitor can send. */
  readonly fields: HeaderList
  /** Whether it may start a machine that sleeps. */
  readonly wake: boolean
  readonly signal: AbortSignal
  readonly waitUntil: (work: Promise<unknown>) => void
}

/** What came of it. The body of a machine's response is the reader's to read or cancel. */
export type DeliveryOutcome = RequestOutcome<Response>

/** Sends a POST of the platform's own to where its hostname leads, by the program of every request, without its policies. Never rejects. */
export const deliver = async (program: RouterProgram, delivery: Delivery): Promise<DeliveryOutcome> => {
  const { host, path, contentType, body, fields, wake, signal, waitUntil } = delivery
  const request = {
    method: "POST",
    scheme: "https",
    host,
    path,
    headers: ["content-type", contentType, "content-length", String(body.length), "accept", "text/plain"],
    clientAddress: undefined,
    requestId: nextRequestId(),
    platform: fields,
    upgrade: false,
    signal,
  } as const
  return program.run<Response, DeliveryOutcome>(
    request,
    {
      send: (machineRequest) => sendByFetch(program, { request, body: () => streamOf(body) }, machineRequest),
      discard: fetchTransport.discard,
      readPrefix: fetchTransport.readPrefix,
      replayable: (sent) => sent === "no",
      waitUntil,
      wake,
    },
    () => new Request(`https://${host}${path}`),
    (outcome) => outcome,
  )
}

const streamOf = (body: Uint8Array): ReadableStream<Uint8Array> => new Blob([body as BlobPart]).stream()
