import { isPort } from "./ports.ts"
import type { PortRules } from "./ports.ts"

/** What development servers listen on where nobody says another port. */
const USUAL: readonly (readonly [from: number, to: number])[] = [
  [3000, 3010],
  [4000, 4010],
  [4096, 4096],
  [4173, 4180],
  [4200, 4200],
  [4321, 4330],
  [5000, 5010],
  [5173, 5190],
  [6006, 6006],
  [8000, 8010],
  [8080, 8090],
  [8787, 8790],
  [8888, 8888],
  [9000, 9010],
]
/** An operator's list is tried whole up to so many ports. */
const MAX_PROBED = 1_024

/** The ports that are tried where the system does not say what listens: those that are allowed by name, else the usual ones. */
export const probedPorts = ({ allow }: PortRules, defaultPort: number): readonly number[] => {
  const named = allow === undefined ? [] : portsOf(allow)
  return named.length > 0 && named.length <= MAX_PROBED ? named : [...new Set([defaultPort, ...portsOf(USUAL)])]
}

const portsOf = (ranges: NonNullable<PortRules["allow"]>): number[] => {
  const ports = new Set<number>()
  for (const range of ranges) {
    const [from, to] = typeof range === "number" ? [range, range] : range
    for (let port = from; port <= to && isPort(port) && ports.size <= MAX_PROBED; port++) ports.add(port)
  }
  return [...ports]
}
