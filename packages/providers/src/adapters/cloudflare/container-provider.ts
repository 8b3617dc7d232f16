import type { Machine, MachineProvider } from "../../contract/machine-provider.ts"
import { classifyContainer } from "./classify-container.ts"
import { containerInterceptedHeaders, sendToContainer } from "./container-stub.ts"
import type { ContainerNamespace } from "./container-stub.ts"

/** What the adapters for classes of containers have in common. `nameOf` checks a machine's record and returns its object's name. */
export const containerProvider = (
  type: string,
  namespace: ContainerNamespace,
  proxyPort: number,
  nameOf: (machine: Machine) => string,
): MachineProvider => ({
  type,
  capabilities: {
    runtimes: ["workerd"],
    webSocket: true,
    // By the runtime's `fetch`, which has no trailers (github.com/cloudflare/workerd/issues/6455).
    carries: { trailers: false, duplex: false },
    wake: "request",
    ports: "any",
    interceptedHeaders: containerInterceptedHeaders,
  },

  async resolve(machine) {
    const name = nameOf(machine)
    return {
      origin: "http://container.invalid",
      // A stub belongs to the request that made it, as all I/O does in workerd.
      fetch: (request) => sendToContainer(namespace.getByName(name), request, proxyPort),
      epoch: name,
      ttlMs: DAY_MS,
    }
  },

  classify: classifyContainer,
})

const DAY_MS = 86_400_000
