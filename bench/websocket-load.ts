// Opens WebSockets through a peer and says so; told to go, sends on each a message, and the next when it comes back.
// A process of its own, for the limit of open files and so that its work is nobody else's.
import { WebSocket } from "ws"
import type { Fields } from "./scenarios.ts"

interface Options {
  readonly port: number
  readonly fields: Fields
  readonly connections: number
  readonly seconds: number
}

const { port, fields, connections, seconds } = JSON.parse(process.env["LOAD"] ?? "{}") as Options
const AT_ONCE = 64
const message = Buffer.alloc(64, "m")
const sockets: WebSocket[] = []
let failed = 0

const open = (): Promise<void> =>
  new Promise((resolve) => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/`, {
      headers: Object.fromEntries(fields),
      perMessageDeflate: false,
      handshakeTimeout: 10_000,
    })
    socket.once("open", () => {
      sockets.push(socket)
      resolve()
    })
    socket.once("error", (error) => {
      if (failed++ === 0) console.error(error.message)
      resolve()
    })
  })

let left = connections
await Promise.all(
  Array.from({ length: Math.min(AT_ONCE, connections) }, async () => {
    while (left-- > 0) await open()
  }),
)
console.log(JSON.stringify({ open: sockets.length, failed }))

process.stdin.once("end", () => process.exit(0))
process.stdin.once("data", () => {
  const took: number[] = []
  const started = performance.now()
  const until = started + seconds * 1_000
  let open = sockets.length
  const finish = (): void => {
    took.sort((a, b) => a - b)
    const at = (share: number): number => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? 0
    const passed = (performance.now() - started) / 1_000
    console.log(JSON.stringify({ messages: took.length, seconds: passed, p50Ms: at(0.5), p99Ms: at(0.99), failed }))
  }
  if (open === 0) finish()
  for (const socket of sockets) {
    let sent = performance.now()
    let ended = false
    const end = (): void => {
      if (ended) return
      ended = true
      if (--open === 0) finish()
    }
    socket.on("message", () => {
      const now = performance.now()
      took.push(now - sent)
      if (now >= until) return end()
      sent = now
      socket.send(message)
    })
    socket.once("close", () => {
      if (!ended) failed++
      end()
    })
    socket.send(message)
  }
})
