import type { AddressRule } from "../address.ts"
import type { HeaderList } from "../header-list.ts"
import type { HopHeaderNames } from "../header-names.ts"
import { addressNotAllowed, hostChecker } from "../address.ts"
import { failureCode } from "../failure-code.ts"
import { PIN_NOT_SUPPORTED } from "../public-key-pin.ts"
import { remembered } from "../remembered.ts"
import { startDeadline } from "../start-deadline.ts"
import { escapedTarget } from "./escaped-target.ts"

/** One request as it is sent, with everything that an intermediary decides. */
export interface OutgoingRequest {
  /** Scheme, host and port: `http://127.0.0.1:32769`. */
  readonly origin: string
  /** Path and query in origin-form, as they came (RFC 9112 §3.2.1). Begins with `/` and can never change the host. */
  readonly target: string
  readonly method: string
  /** What `requestHeaders` gave. */
  readonly headers: HeaderList
  readonly body: ReadableStream<Uint8Array> | null
  /**
   * The request that `body` came with. Fetch knows no GET or HEAD with a body; workerd sends one all the same, but only from the
   * request that it came with. Elsewhere such a body is refused, or no request has one.
   */
  readonly inbound?: Request
  /**
   * The names of the hop, for a request to a machine's proxy, whose response no cache may keep: the URL holds neither the app's
   * port nor its name. On Workers it asks for none, and the client's own `Cache-Control` and `Pragma` are tunnelled, because the
   * runtime writes its own then (Fetch §4.5). Other runtimes' clients have no cache.
   */
  readonly uncached?: HopHeaderNames
  /** Ends the request, and the response's body when there is one by then. */
  readonly signal?: AbortSignal
  /** True for a WebSocket handshake. Only on Workers can its response be a `Response`. */
  readonly upgrade?: boolean
  /** Milliseconds until the response's head; 0, the default, disables the time-out. There is none for a body. */
  readonly headersTimeoutMs?: number
  /**
   * Which addresses may be connected to, where a record or a visitor chose the origin. On Node a name is resolved once, every
   * address that it has is checked, and one of those is connected to. Other runtimes' `fetch` resolves names by itself, so
   * that a name must be in `allowHosts` there. A refused origin is a `SendFailure` of kind `other`, not sent, whose cause has
   * the code `ADDRESS_NOT_ALLOWED`. Without it any address is connected to. Has no effect beside `fetch`.
   */
  readonly addresses?: AddressRule | undefined
  /**
   * The pin of the peer's public key, as `publicKeyPin` of `./sockets` gives it, for an https origin. On Node that key alone is
   * looked at, before a byte is sent, and never the certificate's chain or name: another key is a `SendFailure` of kind `other`, not
   * sent, whose cause has the code `PIN_MISMATCH`. Other runtimes' `fetch` shows no key: there it is of kind `unsupported`.
   */
  readonly pin?: string | undefined
  /**
   * Certificates in PEM that an https peer's own must lead to, in place of the runtime's. Checked on Node; on other runtimes the request is a
   * `SendFailure` of kind `unsupported`.
   */
  readonly ca?: string | undefined
  /**
   * Takes the request instead of the runtime's own client: a Durable Object's stub, a binding. A rejection is a failure that
   * may have reached somebody, unless it is a `SendFailure`, which says so itself.
   */
  readonly fetch?: ((request: Request) => Promise<Response>) | undefined
}

/** What went wrong, the same on every runtime. */
export type SendFailureKind = "refused" | "timeout" | "reset" | "unsupported" | "other"

/** No response came. Says whether the request can have reached anybody, because that decides what may be tried again. */
export class SendFailure extends Error {
  readonly _tag = "SendFailure"
  readonly kind: SendFailureKind
  /** `no` when no byte was accepted by the peer. */
  readonly sent: "no" | "maybe"
  constructor(kind: SendFailureKind, sent: "no" | "maybe", cause?: unknown) {
    const code = failureCode(cause)
    super(
      `the request has no response: ${kind}${code === undefined ? "" : ` (${code})`}`,
      cause === undefined ? undefined : { cause },
    )
    this.kind = kind
    this.sent = sent
  }
  override get name(): string {
    return this._tag
  }
  /** Of whatever was thrown: nobody knows what became of the request, unless the failure says so itself. */
  static from(this: void, cause: unknown): SendFailure {
    return cause instanceof SendFailure ? cause : new SendFailure("other", "maybe", cause)
  }
}

/** What an error and its causes say, for runtimes whose errors have no code. */
export const failureText = (error: unknown): string => {
  const texts: string[] = []
  for (let at = error, depth = 0; depth < 4 && at instanceof Error; depth++, at = at.cause) texts.push(at.message)
  return texts.join(": ")
}

/**
 * A flat list as `Headers`. `Cookie` lines are joined by `; ` (RFC 9113 §8.2.3), because `Headers` would join them by `, `,
 * which makes one broken cookie of two.
 */
export const toHeaders = (list: HeaderList): Headers => {
  const headers = new Headers()
  let cookie: string | undefined
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i]!
    const value = list[i + 1]!
    if (name.length === 6 && name.toLowerCase() === "cookie")
      cookie = cookie === undefined ? value : `${cookie}; ${value}`
    else headers.append(name, value)
  }
  if (cookie !== undefined) headers.set("cookie", cookie)
  return headers
}

/** An origin, normalised, and its host. */
interface ReadOrigin {
  readonly origin: string
  readonly hostname: string
}

/** Reads an origin: a machine's is the same for all its requests. Throws a `TypeError` for what is not an http(s) origin. */
const readOrigin = /* @__PURE__ */ remembered((text): ReadOrigin => {
  // Before any parser sees it: a path, credentials, or the `\` that a URL parser takes for a `/`.
  if (!/^https?:\/\/[^/\\?#@\s]+$/i.test(text)) throw new TypeError("origin must be http(s)://host[:port]")
  const { origin, hostname } = new URL(text)
  return { origin, hostname }
})

/** The origin, normalised. Throws a `TypeError` for what is not an http(s) origin. */
export const checkedOrigin = (origin: string): string => readOrigin(origin).origin

/** The target, when it is in origin-form and fits on a request line. Throws a `TypeError` otherwise. */
export const checkedTarget = (target: string): string => {
  if (target[0] !== "/") throw new TypeError("target must begin with /")
  // oxlint-disable-next-line no-control-regex -- control characters are what this is about
  if (/[\u0000-\u0020\u007f]|[^\u0000-\u00ff]/.test(target))
    throw new TypeError("target must be visible characters of one byte")
  return target
}

/**
 * The URL of a request for runtimes whose `fetch` takes nothing else. The target is appended, never resolved: `//evil` and
 * `/\evil` stay paths, because an authority ends at the first `/` (WHATWG URL). What a URL cannot hold is escaped; dot segments are
 * folded by the `fetch` that reads the URL.
 */
export const requestUrl = (origin: string, target: string): string =>
  checkedOrigin(origin) + escapedTarget(checkedTarget(target))

/** A provider gives one rule for all its endpoints. */
const hostCheckers = new WeakMap<AddressRule, (host: string) => string | undefined>()

/**
 * Checks the host of a request with a rule for addresses, on runtimes whose client resolves names by itself. Throws a
 * `SendFailure` for a host that is not allowed.
 */
export const checkHost = ({ origin, addresses }: Pick<OutgoingRequest, "origin" | "addresses">): void => {
  if (addresses === undefined) return
  let check = hostCheckers.get(addresses)
  if (check === undefined) {
    check = remembered(hostChecker(addresses))
    hostCheckers.set(addresses, check)
  }
  const reason = check(readOrigin(origin).hostname)
  if (reason !== undefined) throw new SendFailure("other", "no", addressNotAllowed(reason))
}

/** Throws for a request with a pin or a CA of its own, on runtimes whose client shows nobody the peer's key, and to a function. */
export const refusePin = ({ pin, ca }: Pick<OutgoingRequest, "pin" | "ca">): void => {
  if (pin === undefined && ca === undefined) return
  const cause = new Error("no key can be checked here")
  throw new SendFailure("unsupported", "no", Object.assign(cause, { code: PIN_NOT_SUPPORTED }))
}

/** One deadline for the head of an response, on runtimes whose `fetch` has none; `settled` ends it and leaves the body alone. */
export const headDeadline = (
  outgoing: OutgoingRequest,
): {
  readonly signal: AbortSignal | undefined
  readonly passed: () => boolean
  readonly settled: () => void
} => {
  const { signal, headersTimeoutMs = 0 } = outgoing
  if (headersTimeoutMs === 0) return { signal, passed: () => false, settled: () => {} }
  const deadline = new AbortController()
  return {
    signal: signal === undefined ? deadline.signal : AbortSignal.any([signal, deadline.signal]),
    passed: () => deadline.signal.aborted,
    settled: startDeadline(headersTimeoutMs, () => deadline.abort()),
  }
}

/** A list with `Accept-Encoding: identity` when the client asked for no coding, for runtimes that would ask for one. */
export const withoutOwnCoding = (headers: Headers): Headers => {
  if (!headers.has("accept-encoding")) headers.set("accept-encoding", "identity")
  return headers
}

/** `fetch` by the rules that hold on every runtime that has nothing better: no redirect followed, failures distinguished. */
export const fetchOutgoing = async (
  outgoing: OutgoingRequest,
  init: RequestInit,
  translate: (error: unknown) => SendFailure,
): Promise<Response> => {
  const { signal } = outgoing
  signal?.throwIfAborted()
  refusePin(outgoing)
  let url: string
  try {
    url = requestUrl(outgoing.origin, outgoing.target)
  } catch (cause) {
    throw new SendFailure("other", "no", cause)
  }
  checkHost(outgoing)
  const deadline = headDeadline(outgoing)
  const send = () => fetch(...fetchArguments(url, outgoing, { ...fetchInit(outgoing, deadline.signal), ...init }))
  return inTime(outgoing, deadline, send, translate)
}

/** What `fetch` and `Request` take, with a body of GET or HEAD as part of the request that it came with. */
const fetchArguments = (
  url: string,
  { method, body, inbound }: OutgoingRequest,
  init: RequestInit,
): [input: string | Request, init: RequestInit] => {
  if (body === null || inbound === undefined || (method !== "GET" && method !== "HEAD")) return [url, init]
  const { method: _, body: __, ...rest } = init
  return [new Request(url, inbound), rest]
}

/** What became of a request by its deadline: its response, the reason of its signal, or a failure. */
const inTime = async (
  { signal }: OutgoingRequest,
  deadline: ReturnType<typeof headDeadline>,
  send: () => Promise<Response>,
  translate: (error: unknown) => SendFailure,
): Promise<Response> => {
  try {
    return await send()
  } catch (cause) {
    if (signal?.aborted === true) throw signal.reason
    if (deadline.passed()) throw new SendFailure("timeout", "maybe", cause)
    throw translate(cause)
  } finally {
    deadline.settled()
  }
}

/** Sends by the function that the request has, which may ignore its signal and give anything. */
export const fetchGiven = async (outgoing: OutgoingRequest): Promise<Response> => {
  const { fetch: given, signal } = outgoing
  signal?.throwIfAborted()
  refusePin(outgoing)
  const deadline = headDeadline(outgoing)
  let request: Request
  try {
    const init = { headers: toHeaders(outgoing.headers), ...fetchInit(outgoing, deadline.signal) }
    request = new Request(...fetchArguments(requestUrl(outgoing.origin, outgoing.target), outgoing, init))
  } catch (cause) {
    // What a `Request` cannot be: a GET with a body, CONNECT.
    deadline.settled()
    throw new SendFailure("unsupported", "no", cause)
  }
  const respond = async (): Promise<Response> => {
    const response = await withSignal(deadline.signal, given!(request))
    if (!isResponse(response)) throw new TypeError("the endpoint's fetch gave something else than a Response")
    return response
  }
  return inTime(outgoing, deadline, respond, SendFailure.from)
}

/** Rejects when the signal is aborted, and throws a response away that comes after it. */
const withSignal = (signal: AbortSignal | undefined, response: Promise<Response>): Promise<Response> =>
  signal === undefined
    ? response
    : new Promise((resolve, reject) => {
        const left = (): void => {
          reject(signal.reason as Error)
          response.then((late) => late.body?.cancel()).catch(() => {})
        }
        signal.addEventListener("abort", left, { once: true })
        response.then(resolve, reject).finally(() => signal.removeEventListener("abort", left))
      })

// By its shape: runtimes and libraries have classes of their own.
const isResponse = (response: unknown): boolean => {
  const { status, headers, body } = (response ?? {}) as Partial<Response>
  const known = Number.isInteger(status) && (status === 101 || (status! >= 200 && status! <= 599))
  return (
    known && typeof headers?.getSetCookie === "function" && (body === null || typeof body?.getReader === "function")
  )
}

const fetchInit = (outgoing: OutgoingRequest, signal: AbortSignal | undefined): RequestInit => ({
  method: outgoing.method,
  redirect: "manual",
  ...(signal === undefined ? {} : { signal }),
  // `duplex`: a streamed body, as Fetch asks for it; not in every library's types.
  ...(outgoing.body === null ? {} : { body: outgoing.body, duplex: "half" }),
})
