import type { HostnameTooLong } from "./format.ts"
import type { Grammar } from "./grammar.ts"
import type { HostnameMalformed } from "./outcome.ts"
import type { TargetInput } from "./target.ts"
import { url, type UrlOptions } from "./url.ts"

/** The environment variables that tell a process inside a machine its public names. */
export interface MachineEnvironment {
  /** The origin of the default port, without a trailing slash: `https://misha.iterate.app`. */
  readonly INGRESS_BASE_URL: string
  /** The domain that the target is under: `iterate.app`, or the custom domain. */
  readonly INGRESS_DOMAIN: string
}

/**
 * The environment variables for a machine that `target` leads to. A port or service of the target is ignored.
 * `HostnameTooLong` or `HostnameMalformed` if the target has no hostname.
 *
 * @throws {TypeError} if `options` are invalid, as for `url`
 */
export const machineEnvironment = (
  grammar: Grammar,
  target: TargetInput,
  options: UrlOptions = {},
): MachineEnvironment | HostnameTooLong | HostnameMalformed => {
  const { port: _, ...whole }: TargetInput & { service?: string } = target
  delete whole.service
  const address = url(grammar, whole, "/", options)
  if (!(address instanceof URL)) return address
  return {
    INGRESS_BASE_URL: address.origin,
    INGRESS_DOMAIN: target.customDomain ?? target.domain ?? grammar.domains[0],
  }
}
