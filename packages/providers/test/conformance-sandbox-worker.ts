// Bundled and run by conformance-runtimes.test.ts in workerd: the suite, with the vendor's own class `Sandbox` as the objects. Their
// container is outside, at the second half of the object's name.
import { Sandbox } from "@cloudflare/sandbox"
import type { ContainerNamespace } from "../src/adapters/cloudflare/sandbox.ts"
import suite from "./conformance-worker.ts"

interface ObjectState {
  readonly id: { readonly name: string }
}

/** The status of what stands for the platform's own error. */
const PLATFORM_ERROR = 599

/** The object's state, with a container as the platform would give it. */
const withContainer = (state: ObjectState): never => {
  const [name = "", host = ""] = state.id.name.split("@")
  let running = false
  let fail: ((error: Error) => void) | undefined
  const container = {
    get running() {
      return running
    },
    start: () => void (running = true),
    monitor: async () => {
      const failed = new Promise<never>((_, reject) => (fail = reject))
      await Promise.race([failed, fetch(`${host}/exit`, { headers: { "x-container": name } })])
      running = false
    },
    destroy: async () => void (running = false),
    signal: () => {},
    setInactivityTimeout: async () => {},
    getTcpPort: (port: number) => ({
      async fetch(url: string, init?: RequestInit): Promise<Response> {
        const request = new Request(url, init)
        const headers = new Headers(request.headers)
        headers.set("x-container", name)
        headers.set("x-container-port", String(port))
        const to = request.url.replace(/^https?:\/\/[^/]+/, host)
        const response = await fetch(to, new Request(request, { headers, redirect: "manual" }))
        if (response.status !== PLATFORM_ERROR) return response
        // Who monitors the container is told of it too.
        const error = new Error(await response.text())
        running = false
        fail?.(error)
        throw error
      },
    }),
  }
  return Object.defineProperty(state, "container", { value: container }) as never
}

export class VendorSandbox extends Sandbox {
  constructor(state: ObjectState, env: never) {
    super(withContainer(state), env)
    // The class itself accepts no less than 5 s.
    const containerTimeouts = { instanceGetTimeoutMS: 1_000, portReadyTimeoutMS: 10_000, waitIntervalMS: 50 }
    Object.assign(this, { containerTimeouts })
  }
}

export default {
  async fetch(request: Request, env: { readonly CONTAINERS: ContainerNamespace }): Promise<Response> {
    if (request.method !== "GET") return suite.fetch(request, env)
    // What a test outside waits for.
    const id = new URL(request.url).searchParams.get("id")!
    return Response.json(await env.CONTAINERS.getByName(id).getState!())
  },
}
