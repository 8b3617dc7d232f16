import { accept, addressChecker, checkOptions, literalOf, nameMatcher } from "@project-ingress/forward/internal"
import type { AddressRule, OptionCheck } from "@project-ingress/forward/internal"
import { MachineRecordInvalid, machineRef } from "./errors.ts"
import type { Machine } from "./machine-provider.ts"

/** Which addresses records may name, for adapters whose machines stand at an address from a record. */
export interface AddressOptions {
  /**
   * Ranges that may be connected to beside public addresses: `["10.0.0.0/8", "fd00::/8"]`. Without it private, loopback,
   * link-local and all other addresses that are not global unicast are refused, and this host's own, in every notation.
   */
  readonly allowCidrs?: readonly string[] | undefined
  /**
   * When given, the only names that may be connected to: `["app.example.com", "*.internal.example.com"]`. Their addresses are
   * checked as well. On Workers, where nobody can look a name's addresses up, a name is refused unless it is listed here.
   */
  readonly allowHosts?: readonly string[] | undefined
}

/** A rule for addresses, checked and ready for use. */
export interface Addresses {
  /** For `Endpoint.addresses`. */
  readonly rule: AddressRule
  /**
   * The origin in normal form, when its host may be connected to as far as its text shows. The addresses of a name are checked
   * when it is connected to. Throws `MachineRecordInvalid` for `field` otherwise.
   */
  readonly allowed: (origin: string, machine: Machine, field: string) => string
}

/** The checks of {@link AddressOptions}, for adapters that check their other options elsewhere. */
export const addressOptionChecks = {
  allowCidrs: accept.array(accept.string),
  allowHosts: accept.array(accept.string),
} as const

/**
 * Checks the options of an adapter that takes {@link AddressOptions}. `fields`: its other options.
 *
 * @throws {TypeError} naming the option that is unknown or invalid
 */
export const checkAddressOptions = (
  owner: string,
  options: AddressOptions,
  settings: { readonly fields?: Readonly<Record<string, OptionCheck>>; readonly always?: readonly string[] } = {},
): Addresses => {
  checkOptions(owner, options, { ...settings.fields, ...addressOptionChecks })
  // A copy: what was checked is what counts, whatever its owner does to the lists.
  const allowCidrs = [...(settings.always ?? []), ...(options.allowCidrs ?? [])]
  const allowHosts = options.allowHosts === undefined ? {} : { allowHosts: [...options.allowHosts] }
  const rule: AddressRule = { allowCidrs, ...allowHosts }
  const refusal = named(owner, () => hostRefusal(rule))
  return {
    rule,
    allowed: (text, machine, field) => {
      const { origin, hostname } = new URL(text)
      const reason = refusal(hostname)
      if (reason === undefined) return origin
      throw new MachineRecordInvalid({
        ...machineRef(machine),
        field,
        accepted: `an address that is allowed: ${reason}`,
      })
    },
  }
}

/** Why a host of a URL may not be connected to, as far as its text shows; `undefined` if it may. */
const hostRefusal = (rule: AddressRule): ((host: string) => string | undefined) => {
  const check = addressChecker(rule)
  const isListed = rule.allowHosts === undefined ? () => true : nameMatcher(rule.allowHosts)
  return (host) => {
    const literal = literalOf(host)
    if (literal !== undefined) return check(literal)
    return isListed(host) ? undefined : `${host} is not in allowHosts`
  }
}

const named = <A>(owner: string, run: () => A): A => {
  try {
    return run()
  } catch (cause) {
    throw new TypeError(`${owner}: ${(cause as Error).message}`, { cause })
  }
}
