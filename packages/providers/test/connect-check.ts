import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine, MachineProvider, MachineState } from "../src/contract/machine-provider.ts"

/** What opening a WebSocket must do alike on every runtime, as data, against the server of `connect.test.ts`. */
export const check = async (port: number): Promise<Record<string, unknown>> => {
  const machine: Machine = { id: "mach_1", type: "fake", externalId: "m1", metadata: {} }
  const fetcher = (state: MachineState, to = port) => {
    const provider: MachineProvider = {
      type: "fake",
      capabilities: {
        runtimes: ["node"],
        webSocket: true,
        wake: "none",
        ports: "any",
        interceptedHeaders: ["authorization"],
      },
      resolve: () =>
        Promise.resolve({
          origin: `http://127.0.0.1:${to}`,
          epoch: "1",
          ttlMs: 60_000,
          headers: { "x-edge": "token" },
        }),
      status: () => Promise.resolve({ state, uptimeMs: 3_600_000 }),
    }
    return machineFetcher(provider, machine, { port: 4096 })
  }
  const get = (path: string, headers: Record<string, string> = {}): Request =>
    new Request(`https://app.example.test${path}`, { headers })
  const failure = async (path: string, state: MachineState, to = port): Promise<unknown> => {
    try {
      const socket = await fetcher(state, to).connect(get(path))
      socket.close()
      return "opened"
    } catch (error) {
      const { _tag, status, code } = error as { _tag?: string; status?: number; code?: string }
      return _tag === "HandshakeRefused" ? [_tag, status, code ?? null] : (_tag ?? String(error))
    }
  }
  const socket = await fetcher("running").connect(
    get("/echo?a=%2F", {
      "sec-websocket-protocol": "a, b",
      authorization: "Bearer app",
      origin: "https://app.example.test",
    }),
  )
  const seen: string[] = []
  const closed = new Promise<void>((resolve) => {
    socket.addEventListener("message", ({ data }: MessageEvent<unknown>) => {
      seen.push(data instanceof ArrayBuffer ? `binary ${new Uint8Array(data).join()}` : `text ${String(data)}`)
      if (seen.length === 3) socket.close(4002, "done")
    })
    socket.addEventListener("close", ({ code, reason }) => {
      seen.push(`close ${code} ${reason}`)
      resolve()
    })
  })
  socket.send("hello")
  socket.send(new Uint8Array([1, 2, 255]))
  await closed
  return {
    seen,
    protocol: socket.protocol,
    refused: await failure("/403", "running"),
    closedPort: await failure("/closed", "running"),
    misdirected: await failure("/421", "running"),
    platform: await failure("/platform", "stopped"),
    unstamped: await failure("/unstamped", "running"),
    nobody: await failure("/", "gone", 1),
  }
}
