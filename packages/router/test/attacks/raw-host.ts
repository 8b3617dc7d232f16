/** A router with policies on sockets, before a machine on sockets: for what no `Request` can hold. */
import { connect } from "node:net"
import { local } from "@project-ingress/providers/local"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import type { RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { MachineInput } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"
import { startMachine } from "../machine.ts"

export interface RawHost {
  /** Sends lines as they are, and gives status and code of the response: `403 ACCESS_DENIED`, `200`. */
  readonly send: (...lines: readonly string[]) => Promise<string>
  /** The same, and gives the head of the response. */
  readonly head: (...lines: readonly string[]) => Promise<string>
  /** The fields of the last request that the machine got, by lower-case name. */
  readonly seen: () => Readonly<Record<string, string | string[] | undefined>>
  /** How many requests and handshakes the machine got. */
  readonly reached: () => number
  readonly close: () => Promise<void>
}

export const startRawHost = async (
  policies: NonNullable<RouterOptions["policies"]>,
  settings: Omit<MachineInput, "machine">,
): Promise<RawHost> => {
  const app = await startMachine()
  const machine = { id: "mach_1", type: "local", externalId: "dev", metadata: { port: app.port } }
  const router = createRouter({
    grammar: hostnames,
    store: memoryStore({ "p:misha": { machine, ...settings } }),
    providers: [local()],
    signingKey: keys.signing,
    unprovenMachines: true,
    policies,
  })
  const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
  const head = (...lines: readonly string[]): Promise<string> =>
    new Promise((resolve, reject) => {
      const socket = connect(listening.port, "127.0.0.1")
      let got = ""
      socket.setEncoding("latin1")
      socket.on("error", reject)
      socket.on("data", (text) => {
        got += String(text)
        if (!got.includes("\r\n\r\n")) return
        resolve(got)
        socket.destroy()
      })
      socket.on("close", () => reject(new Error(`closed after: ${got}`)))
      socket.write(Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1"))
    })
  return {
    seen: () => app.requests.at(-1)!.headers,
    reached: () => app.requests.length,
    head,
    send: async (...lines) => {
      const text = await head(...lines)
      const code = /^x-iterate-proxy-error: (.+)$/im.exec(text)?.[1]
      return [text.slice(9, 12), code].filter(Boolean).join(" ")
    },
    close: async () => {
      await listening.close({ deadlineMs: 0 })
      await app.close()
    },
  }
}

/** A WebSocket handshake (RFC 6455 §4.1). */
export const handshake = (host: string, ...fields: readonly string[]): readonly string[] => [
  "GET /socket HTTP/1.1",
  `Host: ${host}`,
  "Connection: Upgrade",
  "Upgrade: websocket",
  "Sec-WebSocket-Version: 13",
  "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
  ...fields,
]
