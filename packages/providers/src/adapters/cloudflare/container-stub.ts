import { kindOf } from "@project-ingress/forward/internal"
import type { MachineState, MachineStatus } from "../../contract/machine-provider.ts"

/**
 * What is used of the binding of a Durable Object class that extends `Container` of `@cloudflare/containers`, as `Sandbox` of
 * `@cloudflare/sandbox` does.
 */
export interface ContainerNamespace {
  getByName(name: string): ContainerStub
}

/** What is used of the stub of such a Durable Object. */
export interface ContainerStub {
  /** Takes WebSocket handshakes, which `containerFetch` cannot return from an object. */
  fetch(request: Request): Promise<Response>
  /** Takes all other requests. A class without it gets none: the call fails. */
  containerFetch(request: Request, port: number): Promise<Response>
  /** Absent in classes that do not extend `Container`: the machine's state is then unknown. */
  getState?(): Promise<{ readonly status: string }>
}

/** @throws {TypeError} for what is no binding of a Durable Object class; `owner` is the function that was given it */
export const checkNamespace = (owner: string, namespace: ContainerNamespace): void => {
  if (typeof (namespace as ContainerNamespace | undefined)?.getByName === "function") return
  throw new TypeError(`${owner}: namespace must be the binding of a Durable Object class, got ${kindOf(namespace)}`)
}

/** Sends a request to one port of a container, which its class starts. The port is never the client's to choose. */
export const sendToContainer = (stub: ContainerStub, request: Request, port: number): Promise<Response> => {
  if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
    // Without the flag a request with a signal cannot be an argument.
    const argument = sendsSignals() ? request : new Request(request, { signal: null })
    return stub.containerFetch(argument, port)
  }
  const headers = new Headers(request.headers)
  headers.set(TARGET_PORT, String(port))
  // `Sandbox` obeys the port of a handshake only, and a handshake is what has this field too.
  headers.set("connection", "Upgrade")
  return stub.fetch(new Request(request, { headers }))
}

/** What the class of a container says of it. */
export const containerStatus = async (stub: ContainerStub): Promise<MachineStatus> => {
  const found = await stub.getState?.()
  const detail = found?.status
  const state = detail !== undefined && Object.hasOwn(states, detail) ? states[detail]! : "unknown"
  return detail === undefined ? { state } : { state, detail }
}

/** The field that `switchPort` of `@cloudflare/containers` 0.3.7 sets. */
const TARGET_PORT = "cf-container-target-port"

/** What the classes' `fetch` acts on. `Sandbox` 0.12.10: another port, another way into the container, and its own name. */
export const containerInterceptedHeaders: readonly string[] = [
  TARGET_PORT,
  "x-sandbox-name",
  "x-sandbox-preview-proxy",
  "x-sandbox-preview-port",
  "x-sandbox-preview-token",
  "x-sandbox-preview-sandbox-id",
]

/** Whether this Worker may send a request's signal to an object. */
const sendsSignals = (): boolean => {
  const { Cloudflare } = globalThis as {
    readonly Cloudflare?: { readonly compatibilityFlags?: Record<string, boolean> }
  }
  return Cloudflare?.compatibilityFlags?.["enable_abortsignal_rpc"] === true
}

/** `running` is a container whose ports have not been seen to listen yet. */
const states: Readonly<Record<string, MachineState>> = {
  running: "starting",
  healthy: "running",
  stopping: "stopping",
  stopped: "stopped",
  stopped_with_code: "stopped",
}
