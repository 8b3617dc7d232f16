import { ProtocolNotCarried } from "../errors.ts"
import { isCall } from "../program/protocol.ts"
import type { RefuseRoad } from "../program/road.ts"

/**
 * Why a host on sockets cannot carry a request: it carries everything itself, and speaks to apps as their settings say, unless a platform
 * on the way may lose what a call of gRPC needs, or the settings contradict the address.
 */
export const refuseBySocket: RefuseRoad = ({ request, port, settings: { protocol }, provider, carries, origin }) => {
  if (protocol === "https" && origin?.startsWith("http:") === true)
    return new ProtocolNotCarried({
      port,
      reason: "The protocol is https, and the origin of the machine is http: write https there.",
    })
  if (protocol !== "h2c" || origin !== undefined || !isCall(request)) return undefined
  const lost = [carries?.trailers !== true && "trailers", carries?.duplex !== true && "both directions at once"]
  const named = lost.filter(Boolean).join(" and ")
  if (named === "") return undefined
  const reason = `The provider ${JSON.stringify(provider)} is not known to carry ${named}, which gRPC needs.`
  return new ProtocolNotCarried({ port, reason })
}
