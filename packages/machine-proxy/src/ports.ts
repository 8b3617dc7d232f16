/** One port, or all from the first to the last; 1 to 65535. */
export type PortRange = number | readonly [from: number, to: number]

/** Which ports of the machine may be reached. */
export interface PortRules {
  /** Default: every port. An empty array allows none. */
  readonly allow?: readonly PortRange[]
  /** Takes precedence over `allow`. Default `[22, 25]`: SSH and SMTP act on what they receive and do not speak HTTP. */
  readonly deny?: readonly PortRange[]
}

const DEFAULT_DENY: readonly PortRange[] = [22, 25]

/** Whether a value is a port number: an integer from 1 to 65535. */
export const isPort = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535

/**
 * Whether a port may be reached, from a table. The proxy's own port is not among the rules: that would be a loop,
 * whoever is permitted.
 *
 * @throws {TypeError} naming the range that is invalid
 */
export const portGate = (rules: PortRules): ((port: number) => boolean) => {
  const open = new Uint8Array(65_536)
  if (rules.allow === undefined) open.fill(1, 1)
  else for (const [index, range] of rules.allow.entries()) set(open, `ports.allow[${index}]`, range, 1)
  for (const [index, range] of (rules.deny ?? DEFAULT_DENY).entries()) set(open, `ports.deny[${index}]`, range, 0)
  return (port) => open[port] === 1
}

const set = (open: Uint8Array, field: string, range: PortRange, value: 0 | 1): void => {
  const [from, to, ...rest] = Array.isArray(range) ? (range as readonly unknown[]) : [range, range]
  if (!isPort(from) || !isPort(to) || from > to || rest.length > 0) {
    const got = Array.isArray(range) ? `[${range.map(String).join(", ")}]` : String(range)
    throw new TypeError(`createMachineProxy: ${field} must be a port or [from, to], 1 to 65535, got ${got}`)
  }
  open.fill(value, from, to + 1)
}
