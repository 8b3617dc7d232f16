/* oxlint-disable unicorn/consistent-function-scoping -- the app is sent to machines as text: it refers to nothing outside */
/** What the app uses of `http.IncomingMessage`. The kit itself imports no `node:` module. */
export interface AppRequest {
  readonly method?: string | undefined
  readonly url?: string | undefined
  readonly rawHeaders: readonly string[]
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown
  on(event: "end", listener: () => void): unknown
  on(event: "close", listener: () => void): unknown
}
/** What the app uses of `http.ServerResponse`. */
export interface AppResponse {
  readonly writableFinished: boolean
  writeHead(status: number, headers?: Record<string, string | string[]>): unknown
  write(chunk: Uint8Array | string, done?: () => void): unknown
  addTrailers(trailers: Record<string, string>): unknown
  end(chunk?: Uint8Array | string): unknown
  destroy(): unknown
  on(event: "close", listener: () => void): unknown
}
/** What the app uses of the socket of an upgrade. */
export interface AppSocket {
  write(chunk: Uint8Array | string): unknown
  end(chunk?: Uint8Array | string): unknown
  on(event: "data", listener: (chunk: Uint8Array) => void): unknown
  on(event: "error" | "close", listener: () => void): unknown
}

/** The app inside a machine, as listeners of a `http.Server`. */
export interface ConformanceApp {
  /** For the event `request`. */
  readonly request: (request: AppRequest, response: AppResponse) => void
  /** For the event `upgrade`: WebSockets. */
  readonly upgrade: (request: AppRequest, socket: AppSocket) => void
}

/**
 * The app that runs in a machine while its provider is tested. It echoes requests, and streams, waits and fails as their paths
 * say. `machine` is the machine's id.
 *
 * Its source is sent to machines ({@link appSource}), so it refers to nothing outside itself.
 *
 * @example
 * const app = conformanceApp("mach_1")
 * createServer(app.request).on("upgrade", app.upgrade).listen(3000)
 */
export const conformanceApp = (machine: string): ConformanceApp => {
  interface Seen {
    count: number
    received: number
    closed: boolean
    closeCode: number
  }
  const seen = new Map<string, Seen>()
  const held = new Map<string, () => void>()
  const recordOf = (id: string): Seen => {
    let found = seen.get(id)
    if (found === undefined) seen.set(id, (found = { count: 0, received: 0, closed: false, closeCode: 0 }))
    return found
  }
  const bytes = (count: number): Uint8Array => Uint8Array.from({ length: count }, (_, i) => (i * 31 + (i >> 8)) & 255)
  const bodyOf = (request: AppRequest, done: (body: Uint8Array) => void): void => {
    const chunks: Uint8Array[] = []
    let size = 0
    request.on("data", (chunk) => {
      chunks.push(chunk)
      size += chunk.length
    })
    request.on("end", () => {
      const whole = new Uint8Array(size)
      let at = 0
      for (const chunk of chunks) {
        whole.set(chunk, at)
        at += chunk.length
      }
      done(whole)
    })
  }
  const hex = (bytes: ArrayBuffer): string =>
    Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("")

  const request = (request: AppRequest, response: AppResponse): void => {
    const url = request.url ?? "/"
    const [path = "", query = ""] = url.split("?")
    const [, route = "", id = ""] = path.split("/")
    const json = (value: unknown): void => {
      response.writeHead(200, { "content-type": "application/json" })
      response.end(JSON.stringify(value))
    }
    const text = (status: number, body: string, headers: Record<string, string | string[]> = {}): void => {
      response.writeHead(status, { "content-type": "text/plain", ...headers })
      response.end(body)
    }
    const watched = (): Seen => {
      const note = recordOf(id)
      response.on("close", () => {
        if (!response.writableFinished) note.closed = true
      })
      return note
    }
    switch (route) {
      case "who":
        return text(200, machine)
      case "status":
        if (id === "204" || id === "304") {
          response.writeHead(Number(id), { "x-app": machine })
          return void response.end()
        }
        return text(Number(id), `status ${id}`, { "x-app": machine })
      case "redirect":
        return text(Number(id), "elsewhere", { location: "/who?from=redirect" })
      case "cookies":
        return text(200, "", { "set-cookie": ["a=1; Path=/", "b=2; Expires=Wed, 21 Oct 2026 07:28:00 GMT"] })
      case "headers":
        return text(200, "", { "x-one": "1", "x-two": ["a", "b"], "x-long": "l".repeat(4_096), etag: `"x"` })
      case "gzip": {
        const packed = Uint8Array.from(atob("H4sIAAAAAAAAA8tIzcnJ11FIr8os4AIAhh+CpAwAAAA="), (c) => c.charCodeAt(0))
        response.writeHead(200, { "content-encoding": "gzip", "content-length": String(packed.length) })
        return void response.end(packed)
      }
      case "bytes": {
        const body = bytes(Number(id))
        response.writeHead(200, { "content-type": "application/octet-stream", "content-length": String(body.length) })
        return void response.end(body)
      }
      case "digest":
        return bodyOf(request, (body) => {
          void crypto.subtle
            .digest("SHA-256", body as Uint8Array<ArrayBuffer>)
            .then((sum) => json({ length: body.length, sha256: hex(sum) }))
        })
      case "mirror":
        return bodyOf(request, (body) => {
          response.writeHead(200, { "content-type": "application/octet-stream" })
          response.end(body)
        })
      case "hold": {
        const events = query === "events"
        watched()
        response.writeHead(200, { "content-type": events ? "text/event-stream" : "text/plain" })
        response.write(events ? "data: first\n\n" : "first")
        held.set(id, () => response.end(events ? "data: second\n\n" : "second"))
        return undefined
      }
      case "hang":
        watched().count++
        held.set(id, () => text(200, "late"))
        return undefined
      case "release":
        held.get(id)?.()
        held.delete(id)
        return text(200, "released")
      case "upload": {
        const note = watched()
        request.on("data", (chunk) => {
          note.received += chunk.length
        })
        request.on("end", () => json({ received: note.received }))
        return undefined
      }
      case "count": {
        const note = recordOf(id)
        note.count++
        return bodyOf(request, () => json(note))
      }
      case "seen":
        return json(recordOf(id))
      case "trailers":
        response.writeHead(200, { "content-type": "text/plain", trailer: "x-after" })
        response.write("body")
        response.addTrailers({ "x-after": "the end" })
        return void response.end()
      case "duplex":
        response.writeHead(200, { "content-type": "text/plain" })
        request.on("data", (chunk) => void response.write(chunk))
        request.on("end", () => void response.end())
        return undefined
      case "broken":
        response.writeHead(200, { "content-length": "1000" })
        response.write("only this", () => setTimeout(() => response.destroy(), 50))
        return undefined
      default:
        return bodyOf(request, (body) => {
          json({ machine, method: request.method, url, headers: request.rawHeaders, body: body.length })
        })
    }
  }

  /** RFC 6455, as much of it as an echo needs. */
  const upgrade = (request: AppRequest, socket: AppSocket): void => {
    socket.on("error", () => {})
    const [path = "", query = ""] = (request.url ?? "/").split("?")
    if (path === "/ws/refused") {
      const body = "no sockets today"
      socket.end(
        `HTTP/1.1 403 Forbidden\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\nConnection: close\r\n\r\n${body}`,
      )
      return
    }
    const key = String(request.headers["sec-websocket-key"])
    const offered = request.headers["sec-websocket-protocol"]
    const protocol = typeof offered === "string" ? offered.split(",")[0]!.trim() : undefined
    const frame = (opcode: number, payload: Uint8Array): Uint8Array => {
      const { length } = payload
      const extra = length < 126 ? 0 : length < 65_536 ? 2 : 8
      const out = new Uint8Array(2 + extra + length)
      out[0] = 0x80 | opcode
      out[1] = extra === 0 ? length : extra === 2 ? 126 : 127
      for (let i = 0; i < extra; i++) out[1 + extra - i] = Math.floor(length / 256 ** i) & 255
      out.set(payload, 2 + extra)
      return out
    }
    let waiting: Uint8Array = new Uint8Array(0)
    let message: Uint8Array = new Uint8Array(0)
    let kind = 0
    const joined = (a: Uint8Array, b: Uint8Array): Uint8Array => {
      const out = new Uint8Array(a.length + b.length)
      out.set(a)
      out.set(b, a.length)
      return out
    }
    /** Takes one frame off the received bytes, if it is complete. */
    const take = (): { readonly final: boolean; readonly opcode: number; readonly payload: Uint8Array } | undefined => {
      if (waiting.length < 2) return undefined
      const short = waiting[1]! & 127
      const extra = short < 126 ? 0 : short === 126 ? 2 : 8
      const masked = (waiting[1]! & 128) !== 0
      const start = 2 + extra + (masked ? 4 : 0)
      if (waiting.length < start) return undefined
      let length = extra === 0 ? short : 0
      for (let i = 0; i < extra; i++) length = length * 256 + waiting[2 + i]!
      if (waiting.length < start + length) return undefined
      const payload = waiting.slice(start, start + length)
      if (masked) for (let i = 0; i < length; i++) payload[i]! ^= waiting[start - 4 + (i & 3)]!
      const taken = { final: (waiting[0]! & 128) !== 0, opcode: waiting[0]! & 15, payload }
      waiting = waiting.slice(start + length)
      return taken
    }
    const onData = (chunk: Uint8Array): void => {
      waiting = joined(waiting, chunk)
      for (let next = take(); next !== undefined; next = take()) {
        const { final, opcode, payload } = next
        if (opcode === 8) {
          recordOf(query).closeCode = payload.length >= 2 ? payload[0]! * 256 + payload[1]! : 1005
          socket.end(frame(8, payload))
          return
        }
        if (opcode === 9) socket.write(frame(10, payload))
        if (opcode > 2) continue
        if (opcode !== 0) kind = opcode
        message = joined(message, payload)
        if (!final) continue
        if (kind === 1 && new TextDecoder().decode(message) === "close, please") {
          socket.write(frame(8, joined(Uint8Array.of(4001 >> 8, 4001 & 255), new TextEncoder().encode("as asked"))))
        } else socket.write(frame(kind, message))
        message = new Uint8Array(0)
      }
    }
    socket.on("data", onData)
    const accept = new TextEncoder().encode(`${key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11`)
    void crypto.subtle.digest("SHA-1", accept).then((sum) => {
      const lines = [
        "HTTP/1.1 101 Switching Protocols",
        "Upgrade: websocket",
        "Connection: Upgrade",
        `Sec-WebSocket-Accept: ${btoa(String.fromCharCode(...new Uint8Array(sum)))}`,
        ...(protocol === undefined ? [] : [`Sec-WebSocket-Protocol: ${protocol}`]),
      ]
      socket.write(`${lines.join("\r\n")}\r\n\r\n`)
    })
  }

  return { request, upgrade }
}

/**
 * The source of the app as an ES module for Node, for machines that are made of files. It listens on `port`, at every address
 * or at `host`.
 */
export const appSource = (
  machine: string,
  port = 3000,
  host?: string,
): string => `import { createServer } from "node:http"
const conformanceApp = ${conformanceApp.toString()}
const app = conformanceApp(${JSON.stringify(machine)})
createServer(app.request).on("upgrade", app.upgrade).listen(${JSON.stringify(host === undefined ? { port } : { port, host })})
`
