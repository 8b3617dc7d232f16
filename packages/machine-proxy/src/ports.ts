/** One port, or all from the first to the last; 1 to 65535. */
export type PortRange = number | readonly [from: number, to: number]

/** Which ports of the machine may be reached. */
export interface PortRules {
  /** Default: every port. */
  readonly allow?: readonly PortRange[]
  /** Wins over `allow`. Default `[22, 25]`: they act on what they are sent and do not speak HTTP. */
  readonly deny?: readonly PortRange[]
}

const DENIED: readonly PortRange[] = [22, 25]

/** Whether a number is a port. */
export const isPort = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value <= 65_535

/**
 * Whether a port passes, answered from a table. Its own port is not among the rules: that is a loop, not a matter of
 * permission.
 *
 * @throws {TypeError} for a range that is none, naming it
 */
export const portGate = (rules: PortRules): ((port: number) => boolean) => {
  const open = new Uint8Array(65_536)
  if (rules.allow === undefined) open.fill(1, 1)
  else for (const range of rules.allow) fill(open, "ports.allow", range, 1)
  for (const range of rules.deny ?? DENIED) fill(open, "ports.deny", range, 0)
  return (port) => open[port] === 1
}

const fill = (open: Uint8Array, field: string, range: PortRange, value: number): void => {
  const [from, to] = typeof range === "number" ? [range, range] : range
  if (!isPort(from) || !isPort(to) || from > to) {
    throw new TypeError(`${field}: ${JSON.stringify(range)} is not accepted; expected a port or [from, to], 1 to 65535`)
  }
  open.fill(value, from, to + 1)
}
