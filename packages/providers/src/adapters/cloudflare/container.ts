import {
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderRateLimited,
  ProviderUnavailable,
  machineRef,
} from "../../contract/errors.ts"
import type { MachineProvider, MachineState, Verdict } from "../../contract/machine-provider.ts"

/** What is needed of the binding of a Durable Object class that extends `Container` of `@cloudflare/containers`. */
export interface ContainerNamespace {
  getByName(name: string): ContainerStub
}

export interface ContainerStub {
  fetch(request: Request): Promise<Response>
  getState?(): Promise<{ readonly status: string }>
}

export interface CloudflareContainerOptions {
  /** The port of the machine proxy inside the containers. 8080. */
  readonly proxyPort?: number
}

/**
 * Containers of Cloudflare, each behind a Durable Object. Runs on Workers alone: no URL leads to one. `externalId` is the
 * object's name. No metadata. A request wakes its container, and the class's `sleepAfter` lets it sleep again.
 *
 * Give the Worker the compatibility flags `enable_request_signal` and `request_signal_passthrough`: without them a container
 * is not told that a client left before it was answered.
 *
 * @example
 * cloudflareContainer(env.MACHINES)
 */
export const cloudflareContainer = (
  namespace: ContainerNamespace,
  options: CloudflareContainerOptions = {},
): MachineProvider => {
  const { proxyPort = 8080 } = options
  if (!Number.isInteger(proxyPort) || proxyPort < 1 || proxyPort > 65_535) {
    throw new TypeError("proxyPort must be an integer from 1 to 65535")
  }
  // Chooses the container's port (`switchPort`): a client's own would lead it past the machine's proxy and its ports' list.
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

    // The texts of `Container.containerFetch`; an app's own answer bears the stamp.
    classify({ status, body = "" }, machine): Verdict {
      const at = machineRef(machine)
      if (status === 429) return new ProviderRateLimited(at)
      if (body.startsWith("There is no Container instance available")) {
        return new ProviderUnavailable({ ...at, reason: "capacity" })
      }
      if (body.startsWith("Failed to start container")) {
        return new MachineNotRunning({ ...at, state: "not able to start" })
      }
      // It might have restarted this moment.
      if (body.startsWith("Container suddenly disconnected")) return new MachineStarting(at)
      if (status >= 500) return "check-status"
      return new ProviderUnavailable({ ...at, reason: `HTTP ${status} without the stamp of the machine's proxy` })
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

/** `running` is a container whose ports were not seen to listen yet. */
const states: Readonly<Record<string, MachineState>> = {
  running: "starting",
  healthy: "running",
  stopping: "stopping",
  stopped: "stopped",
  stopped_with_code: "stopped",
}
