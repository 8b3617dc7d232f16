import { checkOptions } from "@project-ingress/forward/internal"
import { acceptPort } from "../../adapter-kit/option-checks.ts"
import { MachineRecordInvalid, machineRef } from "../../contract/errors.ts"
import type { Machine, MachineProvider } from "../../contract/machine-provider.ts"
import { containerProvider } from "./container-provider.ts"
import { checkNamespace, containerStatus } from "./container-stub.ts"
import type { ContainerNamespace } from "./container-stub.ts"

export type { ContainerNamespace, ContainerStub } from "./container-stub.ts"

/** How {@link cloudflareContainer} reaches the machine proxies. */
export interface CloudflareContainerOptions {
  /** The port of the machine proxy inside the containers, 1 to 65535. Default 8080. */
  readonly proxyPort?: number
}

/**
 * Containers of Cloudflare, each behind a Durable Object. Runs on Workers only: no URL leads to one. `externalId` is the
 * object's name. No metadata. A request wakes its container, and the class's `sleepAfter` stops it again. The binding of a
 * `Sandbox` of `@cloudflare/sandbox` is for `cloudflareSandbox`, which also checks what that class wants of its ids and ports.
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
  checkNamespace("cloudflareContainer", namespace)
  checkOptions("cloudflareContainer", options, { proxyPort: acceptPort })
  const { proxyPort = 8080 } = options

  return {
    ...containerProvider("cloudflare-container", namespace, proxyPort, objectName),
    status: ({ externalId }) => containerStatus(namespace.getByName(externalId)),
  }
}

const objectName = (machine: Machine): string => {
  if (machine.externalId !== "") return machine.externalId
  throw new MachineRecordInvalid({ ...machineRef(machine), field: "externalId", accepted: "an object's name" })
}
