import { firstOpen, ownAddresses } from "./check-connection.ts"
import { authorityOf } from "./doctor-target.ts"
import { error, ok } from "./finding.ts"
import type { Finding } from "./finding.ts"

/** Where the machine proxy looks for apps. */
const LOOPBACK = ["127.0.0.1", "::1"]

/** In the machine: whether something listens on the port, where the machine proxy connects to. `addresses`: this computer's others. */
export const checkApp = async (
  port: number,
  timeoutMs: number,
  addresses: readonly string[] = ownAddresses(),
): Promise<Finding> => {
  const resource = `app port ${port}`
  const loopback = await firstOpen(LOOPBACK, port, timeoutMs)
  if (loopback !== undefined) return ok("APP_LISTENS", resource, `An app listens on ${authorityOf(loopback, port)}.`)
  const elsewhere = await firstOpen(addresses, port, timeoutMs)
  return elsewhere === undefined
    ? error(
        "APP_NOT_LISTENING",
        resource,
        "Nothing listens on this port of this computer.",
        "Start the app, and compare the port that it prints with that of the hostname.",
      )
    : error(
        "APP_BOUND_ELSEWHERE",
        resource,
        `The app listens on ${authorityOf(elsewhere, port)}, and the machine proxy connects to 127.0.0.1 and ::1 only.`,
        "Let the app listen on localhost or 0.0.0.0 (often --host or HOST), or set INGRESS_LOOPBACK of the machine proxy.",
      )
}

/** The port that a hostname names: `4096__misha`, `4096--misha`, `4096.misha`; `undefined`: it names none. */
export const portOfHostname = (hostname: string): number | undefined => {
  const port = Number(/^(\d{1,5})(?:__|--|\.)/.exec(hostname)?.[1] ?? NaN)
  return port >= 1 && port <= 65_535 ? port : undefined
}
