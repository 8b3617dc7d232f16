import { checkOptions, kindOf } from "@project-ingress/forward/internal"
import { acceptPort } from "../../adapter-kit/option-checks.ts"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { MachineProvider, MachineState } from "../../contract/machine-provider.ts"
import { classifyContainer } from "./classify-container.ts"

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

/** How {@link cloudflareContainer} reaches the machine proxies. */
export interface CloudflareContainerOptions {
  /** The port of the machine proxy inside the containers, 1 to 65535. Default 8080. */
  readonly proxyPort?: number
}

/**
 * Containers of Cloudflare, each behind a Durable Object. Runs on Workers only: no URL leads to one. `externalId` is the
 * object's name. No metadata. A request wakes its container, and the class's `sleepAfter` stops it again.
 *
 * Requests are sent by the class's `containerFetch`, which takes the port as an argument, and never by its `fetch`: there a
 * class may choose the port by the client's path, as `Sandbox` does. So what a class does in a `fetch` of its own is done for
 * WebSocket handshakes only.
 *
 * Give the Worker the compatibility flags `enable_request_signal`, `request_signal_passthrough` and `enable_abortsignal_rpc`:
 * without them a container does not see that a client disconnected before its response.
 *
 * @throws {TypeError} for a namespace without `getByName`, and for unknown or invalid options
 *
 * @example
 * cloudflareContainer(env.MACHINES)
 */
export const cloudflareContainer = (
  namespace: ContainerNamespace,
  options: CloudflareContainerOptions = {},
): MachineProvider => {
  if (typeof (namespace as ContainerNamespace | undefined)?.getByName !== "function") {
    const kind = kindOf(namespace)
    throw new TypeError(`cloudflareContainer: namespace must be the binding of a Durable Object class, got ${kind}`)
  }
  checkOptions("cloudflareContainer", options, { proxyPort: acceptPort })
  const { proxyPort = 8080 } = options

  const send = (stub: ContainerStub, request: Request): Promise<Response> => {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      // Without the flag a request with a signal cannot be an argument.
      const argument = sendsSignals() ? request : new Request(request, { signal: null })
      return stub.containerFetch(argument, proxyPort)
    }
    const headers = new Headers(request.headers)
    headers.set(TARGET_PORT, String(proxyPort))
    // `Sandbox` obeys the port of a handshake only, and a handshake is what has this field too.
    headers.set("connection", "Upgrade")
    return stub.fetch(new Request(request, { headers }))
  }

  return {
    type: "cloudflare-container",
    capabilities: {
      runtimes: ["workerd"],
      webSocket: true,
      // By the runtime's fetch, which has no trailers (github.com/cloudflare/workerd/issues/6455).
      carries: { trailers: false, duplex: false },
      wake: "request",
      ports: "any",
      interceptedHeaders,
    },

    async resolve(machine) {
      const name = machine.externalId
      if (name === "") {
        throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "an object's name" })
      }
      return {
        origin: "http://container.invalid",
        // A stub belongs to the request that made it, as all I/O does in workerd.
        fetch: (request) => send(namespace.getByName(name), request),
        epoch: name,
        ttlMs: DAY_MS,
      }
    },

    classify: classifyContainer,

    async status({ externalId }) {
      const found = await namespace.getByName(externalId).getState?.()
      const detail = found?.status
      const state = detail !== undefined && Object.hasOwn(states, detail) ? states[detail]! : "unknown"
      return detail === undefined ? { state } : { state, detail }
    },
  }
}

/** The field that `switchPort` of `@cloudflare/containers` 0.3.7 sets. */
const TARGET_PORT = "cf-container-target-port"

/** What the classes' `fetch` acts on. `Sandbox` 0.12.10: another port, another way into the container, and its own name. */
const interceptedHeaders: readonly string[] = [
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

const DAY_MS = 86_400_000

/** `running` is a container whose ports have not been seen to listen yet. */
const states: Readonly<Record<string, MachineState>> = {
  running: "starting",
  healthy: "running",
  stopping: "stopping",
  stopped: "stopped",
  stopped_with_code: "stopped",
}
