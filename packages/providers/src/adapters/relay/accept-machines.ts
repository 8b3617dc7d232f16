import type { SigningKey } from "@project-ingress/forward"
import {
  kindOf,
  RELAY_STAND_BY,
  relayAudience,
  validateSigningKey,
  verifyRelayProof,
} from "@project-ingress/forward/internal"
import { hosts } from "./addresses.ts"

/** What is used of the binding of a class that extends `RelayObject`. */
export interface MachineNamespace {
  getByName(name: string): { fetch(request: Request): Promise<Response> }
}

/**
 * Takes the WebSockets of machines that dial out, on a hostname of its own: `https://relay.example.com/<machine>`. Machines that
 * do not prove who they are get 401, and no object is woken for them; what is no WebSocket gets 426.
 *
 * ```ts
 * const machines = acceptMachines(env.RELAY, [signingKey])
 * export default { fetch: (request) => machines(request) }
 * ```
 *
 * @throws {TypeError} for a namespace without `getByName`, or a key that cannot sign
 */
export const acceptMachines = (
  namespace: MachineNamespace,
  signingKeys: readonly SigningKey[],
): ((request: Request) => Promise<Response>) => {
  if (typeof (namespace as MachineNamespace | undefined)?.getByName !== "function") {
    throw new TypeError(
      `acceptMachines: namespace must be the binding of a Durable Object class, got ${kindOf(namespace)}`,
    )
  }
  if (!Array.isArray(signingKeys) || signingKeys.length === 0) {
    throw new TypeError(`acceptMachines: signingKeys must be an array of at least one key, got ${kindOf(signingKeys)}`)
  }
  for (const [index, key] of signingKeys.entries()) {
    const problem = validateSigningKey(key)
    if (problem !== undefined) throw new TypeError(`acceptMachines: signingKeys[${index}]: ${problem}`)
  }
  const keys = [...signingKeys]

  return async (request) => {
    const url = new URL(request.url)
    const machine = machineOf(url)
    if (machine === undefined) return new Response("no machine is named\n", { status: 404 })
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return new Response("only a machine's WebSocket\n", { status: 426, headers: { upgrade: "websocket" } })
    }
    const authorization = request.headers.get("authorization") ?? ""
    const proof = /^Bearer (\S+)$/.exec(authorization)?.[1] ?? ""
    const token = url.searchParams.get("socket")
    const verified = await verifyRelayProof(proof, { machine, relay: relayAudience(url.host, token) }, keys)
    if (verified === undefined) return new Response("not this machine\n", { status: 401 })
    const inner = new URL(`http://${hosts.machines}/`)
    inner.searchParams.set("relay", url.host)
    if (token !== null) inner.searchParams.set("socket", token)
    const standBy = request.headers.get(RELAY_STAND_BY)
    const headers = { upgrade: "websocket", authorization, ...(standBy === null ? {} : { [RELAY_STAND_BY]: standBy }) }
    return namespace.getByName(machine).fetch(new Request(inner, { headers }))
  }
}

/** The last segment of the path; `undefined` for what no machine's id is. */
const machineOf = ({ pathname }: URL): string | undefined => {
  const last = pathname.slice(pathname.lastIndexOf("/") + 1)
  try {
    const machine = decodeURIComponent(last)
    return /^[!-~]{1,255}$/.test(machine) ? machine : undefined
  } catch {
    return undefined
  }
}
