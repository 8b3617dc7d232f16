import type { Handshake, HandshakeResponse } from "../src/fetch/handshake.ts"

/** What every runtime must do alike with a WebSocket, as data. Uses nothing but the platform's own globals. */
export const check = async (
  forwardConnect: (handshake: Handshake) => Promise<HandshakeResponse>,
  origin: string,
  closedOrigin: string,
): Promise<Record<string, unknown>> => {
  const shake = (target: string, more: Partial<Handshake> = {}): Promise<HandshakeResponse> =>
    forwardConnect({ origin, target, headers: [], ...more })
  const outcome = async (answer: Promise<HandshakeResponse>): Promise<unknown> => {
    try {
      const { status, headers, socket, response } = await answer
      await response?.body?.cancel()
      return [status, headers?.get("x-stamp") ?? null, socket === undefined]
    } catch (error) {
      const { _tag, kind, sent, name } = error as Record<"_tag" | "kind" | "sent" | "name", string | undefined>
      return _tag === "SendFailure" ? `${kind} ${sent}` : String(name)
    }
  }
  const record = (socket: WebSocket) => {
    const seen: string[] = []
    const closed = new Promise<void>((resolve) => {
      socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
        seen.push(data instanceof ArrayBuffer ? `binary ${new Uint8Array(data).join()}` : `text ${String(data)}`)
      })
      socket.addEventListener("close", ({ code, reason }) => {
        seen.push(`close ${code} ${reason}`)
        resolve()
      })
    })
    return { seen, closed }
  }
  const handshakeFields = [
    ["Connection", "Upgrade", "Upgrade", "websocket", "Sec-WebSocket-Key", "AAAAAAAAAAAAAAAAAAAAAA=="],
    ["Sec-WebSocket-Version", "13", "Sec-WebSocket-Protocol", "a, b", "X-Own", "1", "Cookie", "c=1", "cookie", "d=2"],
  ].flat()

  const greeted = await shake("/bye", { headers: handshakeFields })
  // Long after the messages arrived, in a turn of its own.
  await new Promise((resolve) => setTimeout(resolve, 100))
  const early = record(greeted.accept())
  await early.closed

  const answer = await shake("/echo?a=%2F", { headers: handshakeFields })
  const socket = answer.accept()
  const echoed = record(socket)
  socket.send("h\u00e9llo")
  socket.send(new Uint8Array([1, 2, 255]))
  await new Promise((resolve) => setTimeout(resolve, 200))
  socket.close(4002, "done")
  await echoed.closed

  const left = new AbortController()
  setTimeout(() => left.abort(), 50)
  return {
    early: early.seen,
    status: answer.status,
    stamp: answer.headers?.get("x-stamp") ?? null,
    protocol: socket.protocol,
    echoed: echoed.seen,
    refused: await outcome(shake("/502")),
    redirected: await outcome(shake("/307")),
    reset: await outcome(shake("/reset")),
    closed: await outcome(shake("/", { origin: closedOrigin })),
    late: await outcome(shake("/never", { headersTimeoutMs: 100 })),
    aborted: await outcome(shake("/never", { signal: left.signal })),
    absolute: await outcome(shake("http://evil.test/")),
    addressNotAllowed: await outcome(shake("/502", { addresses: {} })),
    nameNotAllowed: await outcome(shake("/502", { origin: origin.replace("127.0.0.1", "localhost"), addresses: {} })),
    pinned: await outcome(shake("/502", { pin: `sha256//${"A".repeat(43)}=` })),
    addressAllowed: await outcome(shake("/502", { addresses: { allowCidrs: ["127.0.0.0/8"] } })),
  }
}
