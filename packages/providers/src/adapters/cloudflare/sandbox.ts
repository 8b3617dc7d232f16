import { checkOptions } from "@project-ingress/forward/internal"
import type { OptionCheck } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { Machine, MachineProvider } from "../../contract/machine-provider.ts"
import { containerProvider } from "./container-provider.ts"
import { checkNamespace, containerStatus } from "./container-stub.ts"
import type { ContainerNamespace } from "./container-stub.ts"

export type { ContainerNamespace, ContainerStub } from "./container-stub.ts"

/** How {@link cloudflareSandbox} reaches the machine proxies. */
export interface CloudflareSandboxOptions {
  /** The port of the machine proxy inside the sandboxes: 1024 to 65535, and not 3000, where the class's own server is. Default 8080. */
  readonly proxyPort?: number
}

/**
 * Sandboxes of Cloudflare: Durable Objects of the class `Sandbox` of `@cloudflare/sandbox`, each with a container. Runs on
 * Workers only: no URL leads to one. `externalId` is the sandbox's id in lower case, as `getSandbox(…, { normalizeId: true })`
 * makes it: an object of another name would be another sandbox, empty and started by the request. No metadata.
 *
 * A request starts its container, in which something must start the machine proxy: the image's command, or `startProcess`. The
 * class counts open requests and WebSockets as activity, and stops the container `sleepAfter` later. One that should run
 * without traffic needs a call of its `setKeepAlive(true)`, which lasts until `setKeepAlive(false)`.
 *
 * Requests are sent as the class's `containerFetch` and `wsConnect` do, with the port as an argument: the class's `fetch` takes
 * it from a request's path, so that a client could choose it, and reach the server that runs commands.
 *
 * Give the Worker the compatibility flags `nodejs_compat`, which the class needs, and `enable_request_signal`,
 * `request_signal_passthrough` and `enable_abortsignal_rpc`: without these three a sandbox does not see that a client
 * disconnected before its response.
 *
 * @throws {TypeError} for a namespace without `getByName`, and for unknown or invalid options
 *
 * @example
 * cloudflareSandbox(env.Sandbox)
 */
export const cloudflareSandbox = (
  namespace: ContainerNamespace,
  options: CloudflareSandboxOptions = {},
): MachineProvider => {
  checkNamespace("cloudflareSandbox", namespace)
  checkOptions("cloudflareSandbox", options, { proxyPort: acceptProxyPort })
  const { proxyPort = 8080 } = options

  return {
    ...containerProvider("cloudflare-sandbox", namespace, proxyPort, sandboxId),
    status: async (machine) => containerStatus(namespace.getByName(sandboxId(machine))),
  }
}

/** As `validatePort` of `@cloudflare/sandbox` 0.12.10. */
const acceptProxyPort: OptionCheck = (value) =>
  Number.isInteger(value) && (value as number) >= 1024 && (value as number) <= 65_535 && value !== 3000
    ? undefined
    : "an integer from 1024 to 65535, and not 3000"

/** As `sanitizeSandboxId` of `@cloudflare/sandbox` 0.12.10 accepts it, in lower case. */
const sandboxId = (machine: Machine): string => {
  const id = machine.externalId
  const accepted =
    id.length > 0 && id.length <= 63 && !/^-|-$/.test(id) && id === id.toLowerCase() && !reservedIds.has(id)
  if (accepted) return id
  throw new MachineRecordInvalid({
    ...machineRef(machine),
    field: "externalId",
    accepted: "a sandbox's id: 1 to 63 characters in lower case, without a hyphen at either end, and no reserved one",
  })
}

const reservedIds: ReadonlySet<string> = new Set(["www", "api", "admin", "root", "system", "cloudflare", "workers"])
