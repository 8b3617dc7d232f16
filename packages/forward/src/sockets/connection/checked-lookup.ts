import type { LookupAddress } from "node:dns"
import type { LookupFunction } from "node:net"
import type { AddressRule } from "../../address.ts"
import { lookup as dnsLookup } from "node:dns"
import { isIP } from "node:net"
import { networkInterfaces } from "node:os"
import { addressChecker, addressNotAllowed, nameMatcher } from "../../address.ts"

type Resolve = (
  hostname: string,
  options: { readonly all: true; readonly hints?: number; readonly family?: number },
  done: (error: Error | null, addresses: LookupAddress[]) => void,
) => void

/**
 * The look-up of names for connections by a rule: a name is resolved once, every address that it has is checked, and the
 * connection gets these very addresses, so that a later DNS answer changes nothing. One that is refused refuses them all.
 */
export const checkedLookup = (rule: AddressRule, resolve: Resolve = dnsLookup): LookupFunction => {
  const check = addressChecker(rule, ownAddresses)
  const { allowHosts } = rule
  const listed = allowHosts === undefined ? () => true : nameMatcher(allowHosts)
  return (hostname, { hints, family, all }, done) => {
    if (!listed(hostname)) {
      process.nextTick(done, addressNotAllowed(`${JSON.stringify(hostname)} is not in allowHosts`), [])
      return
    }
    const options = {
      all: true as const,
      ...(hints === undefined ? {} : { hints }),
      ...(family === undefined ? {} : { family: family === "IPv4" ? 4 : family === "IPv6" ? 6 : family }),
    }
    resolve(hostname, options, (error, addresses) => {
      if (error !== null) return done(error, [])
      for (const { address } of addresses) {
        const reason = check(address)
        if (reason !== undefined) return done(addressNotAllowed(reason), [])
      }
      const [first] = addresses
      if (all === true) return done(null, addresses)
      return first === undefined ? done(addressNotAllowed("no address"), []) : done(null, first.address, first.family)
    })
  }
}

/** What is wrong with a host that is an IP address, for which no look-up happens; `undefined` for a name. */
export const refusedLiteral = (host: string, rule: AddressRule): Error | undefined => {
  if (isIP(host) === 0) return undefined
  const reason = addressChecker(rule, ownAddresses)(host)
  return reason === undefined ? undefined : addressNotAllowed(reason)
}

const ownAddresses = (): string[] =>
  Object.values(networkInterfaces()).flatMap((each) => (each ?? []).map(({ address }) => address))
