import { headerValue } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"

/** The fields that a Worker hides from the caches of its platform, as towards a machine's proxy. */
const uncached = ["cache-control", "pragma"]

/** The fields of a request that came by a valid hop, as its client sent them to the router before. */
export const restoredFields = (headers: HeaderList, { tunnel }: HopHeaderNames): HeaderList => {
  const hidden = uncached.filter((name) => headerValue(headers, tunnel + name) !== undefined)
  if (hidden.length === 0) return headers
  const out: string[] = []
  for (let i = 0; i < headers.length; i += 2) {
    const name = headers[i]!
    const value = headers[i + 1]!
    const lower = name.toLowerCase()
    // The runtime's own.
    if (hidden.includes(lower)) continue
    const own = hidden.find((each) => lower === tunnel + each)
    if (own === undefined) out.push(name, value)
    // An empty one says that the client sent none.
    else if (value !== "") out.push(own, value)
  }
  return out
}
