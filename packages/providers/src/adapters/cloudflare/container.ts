import { checkOptions, kindOf } from "@project-ingress/forward/internal"
import { acceptPort } from "../../adapter-kit/option-checks.ts"
import {
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { MachineProvider, MachineState, Verdict } from "../../contract/machine-provider.ts"

/** What is used of the binding of a Durable Object class that extends `Container` of `@cloudflare/containers`. */
export interface ContainerNamespace {
  getByName(name: string): ContainerStub
}

/** What is used of the stub of such a Durable Object. */
export interface ContainerStub {
  fetch(request: Request): Promise<Response>
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
 * Give the Worker the compatibility flags `enable_request_signal` and `request_signal_passthrough`: without them a container
 * does not see that a client disconnected before its response.
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
  // Selects the container's port (`switchPort`): a client's own value would bypass the machine proxy and its list of ports.
  const headers = { [TARGET_PORT]: String(proxyPort) }

  return {
    type: "cloudflare-container",
    capabilities: {
      runtimes: ["workerd"],
      webSocket: true,
      wake: "request",
      ports: "any",
      interceptedHeaders: [],
    },

    async resolve(machine) {
      const name = machine.externalId
      if (name === "") {
        throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "an object's name" })
      }
      return {
        origin: "http://container.invalid",
        // A stub belongs to the request that made it, as all I/O does in workerd.
        fetch: (request) => namespace.getByName(name).fetch(request),
        headers,
        epoch: name,
        ttlMs: DAY_MS,
      }
    },

    // By the texts of `Container.containerFetch`; an app's own response bears the stamp and is not classified.
    classify({ status, body = "" }, machine): Verdict {
      const where = machineRef(machine)
      if (status === 429) return new ProviderRateLimited(where)
      if (body.startsWith("There is no Container instance available")) {
        return new ProviderUnavailable({ ...where, reason: "capacity" })
      }
      if (body.startsWith("Failed to start container")) {
        return new MachineNotRunning({ ...where, state: "not able to start" })
      }
      // It may have restarted at this moment.
      if (body.startsWith("Container suddenly disconnected")) return new MachineStarting(where)
      if (status >= 500) return "check-status"
      return new ProviderUnavailable({ ...where, reason: `HTTP ${status} without the stamp of the machine's proxy` })
    },

    async status({ externalId }) {
      const found = await namespace.getByName(externalId).getState?.()
      const detail = found?.status
      const state = detail !== undefined && Object.hasOwn(states, detail) ? states[detail]! : "unknown"
      return detail === undefined ? { state } : { state, detail }
    },
  }
}

const TARGET_PORT = "cf-container-target-port"
const DAY_MS = 86_400_000

/** `running` is a container whose ports have not been seen to listen yet. */
const states: Readonly<Record<string, MachineState>> = {
  running: "starting",
  healthy: "running",
  stopping: "stopping",
  stopped: "stopped",
  stopped_with_code: "stopped",
}
