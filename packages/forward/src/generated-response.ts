import type { HeaderList } from "./header-list.ts"
import { fieldsProblem } from "./field-syntax.ts"
import { connectionFields } from "./header-rules.ts"
import { kindOf } from "./options.ts"

/** A response that a proxy makes itself (RFC 9209 §2: a generated response). */
export interface GeneratedResponse {
  /** 200 to 599. */
  readonly status: number
  /**
   * All fields but those that the engine writes: framing, `Connection` and, unless it is here, `Date`. A `Content-Length` counts
   * only where the engine cannot know it: for a stream, which is held to it, and for a response to HEAD and a 304. A 426 may
   * have `Connection: Upgrade` and `Upgrade`.
   */
  readonly headers: HeaderList
  /** Absent, or empty, with status 204, 205 and 304 (RFC 9110 §15). */
  readonly body?: string | Uint8Array | ReadableStream<Uint8Array> | null
  /** The stable code, for logs; absent when the response is no failure. */
  readonly code?: string
}

/**
 * What is wrong with a response that a host, a policy or another caller made, as the end of a sentence; `undefined` when it can
 * be sent: `status must be an integer from 200 to 599, got 99`. Shows no header's value and nothing of the body.
 */
export const validGeneratedResponse = (value: unknown): string | undefined => {
  if (typeof value !== "object" || value === null) return `it must be an object, got ${kindOf(value)}`
  const { status, headers, body, code } = value as Readonly<Record<keyof GeneratedResponse, unknown>>
  if (!Number.isInteger(status) || (status as number) < 200 || (status as number) > 599) {
    return `status must be an integer from 200 to 599, got ${kindOf(status)}`
  }
  if (code !== undefined && typeof code !== "string") return `code must be a string, got ${kindOf(code)}`
  return fieldsProblem(headers) ?? framingProblem(headers as HeaderList, status as number) ?? bodyProblem(body, status)
}

const ofConnection = new Set(connectionFields)

const framingProblem = (headers: HeaderList, status: number): string | undefined => {
  let lengths = 0
  for (let i = 0; i < headers.length; i += 2) {
    const lower = headers[i]!.toLowerCase()
    if (lower === "content-length") {
      if (++lengths > 1) return "there must be one Content-Length at most"
      if (!/^\d{1,15}$/.test(headers[i + 1]!)) return "Content-Length must be a number of bytes"
    } else if (ofConnection.has(lower) && !(status === 426 && offersUpgrade(lower, headers[i + 1]!))) {
      return `header ${headers[i]} belongs to the connection, which is the engine's`
    }
  }
  return undefined
}

/** RFC 9110 §15.5.22: a 426 says what to upgrade to. */
const offersUpgrade = (lower: string, value: string): boolean =>
  lower === "upgrade" || (lower === "connection" && value.toLowerCase() === "upgrade")

const bodyProblem = (body: unknown, status: unknown): string | undefined => {
  if (body === undefined || body === null) return undefined
  const length = typeof body === "string" || body instanceof Uint8Array ? body.length : undefined
  if (length === undefined && !isReadable(body)) {
    return `body must be a string, a Uint8Array, null or a ReadableStream that nobody reads, got ${kindOf(body)}`
  }
  return length !== 0 && (status === 204 || status === 205 || status === 304)
    ? `there must be no body with status ${status}`
    : undefined
}

// By its shape: runtimes and libraries have classes of their own.
const isReadable = (body: unknown): boolean => {
  const { getReader, locked } = body as Partial<ReadableStream>
  return typeof getReader === "function" && locked !== true
}
