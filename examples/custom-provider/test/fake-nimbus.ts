import type { Fixture, ProcessMachine } from "@project-ingress/providers/testing"

/** The vendor's API as a function with one machine, and hooks for everything that can happen to either. */
export const fakeNimbus = (machine: ProcessMachine) => {
  const apiKey = "nimbus-canary-5f0c"
  const record = { id: machine.id, type: "nimbus", externalId: "m/1", metadata: {} }
  let state: "running" | "booting" | "stopped" | "removed" = "running"
  let failing: number | undefined
  let silent = false

  const start = async (): Promise<void> => {
    await machine.start()
    state = "running"
  }
  const respond = async (method: string, path: string): Promise<Response> => {
    if (failing !== undefined) return new Response(null, { status: failing, headers: { "retry-after": "2" } })
    if (state === "removed" || !/^\/v1\/machines\/m%2F1(?:\/start)?$/.test(path)) {
      return new Response(null, { status: 404 })
    }
    if (method === "POST" && state !== "running") await start()
    return Response.json({ state, url: `http://127.0.0.1:${machine.port}`, bootId: machine.bootId })
  }
  const fetch = (url: string, init: RequestInit): Promise<Response> => {
    const request = new Request(url, init)
    if (request.headers.get("authorization") !== `Bearer ${apiKey}`) {
      return Promise.resolve(new Response(null, { status: 401 }))
    }
    if (!silent) return respond(request.method, new URL(request.url).pathname)
    return new Promise((_, reject) => {
      request.signal.addEventListener("abort", () => reject(request.signal.reason as Error))
    })
  }

  const become = (next: typeof state) => async () => {
    state = next
    await machine.stop()
  }
  const fails = (status: number) => async () => {
    failing = status
    return () => (failing = undefined)
  }
  const hooks = {
    stop: become("stopped"),
    remove: become("removed"),
    restart: async () => {
      await start()
      return record
    },
    starting: async () => {
      await become("booting")()
      return start
    },
    hang: async () => {
      silent = true
      return () => (silent = false)
    },
    rateLimit: fails(429),
    unauthorized: fails(403),
    unavailable: fails(500),
    portClosed: async () => {
      await machine.stop()
      return start
    },
  } satisfies Partial<Fixture>
  return { apiKey, fetch, record, hooks }
}
