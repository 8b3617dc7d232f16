type Record = (args: readonly unknown[]) => void

// Suites may run at the same time, and the one that began last need not end first.
const recorders = new Set<Record>()
let restore = (): void => {}

/** Records what is printed on the console, which still prints it. Gives what ends the recording. */
export const recordConsole = (printed: unknown[]): (() => void) => {
  const record: Record = (args) => void printed.push(...args)
  if (recorders.size === 0) restore = wrap(console)
  recorders.add(record)
  return () => {
    recorders.delete(record)
    if (recorders.size === 0) restore()
  }
}

const wrap = (console: Console): (() => void) => {
  const methods = ["debug", "error", "info", "log", "trace", "warn"] as const
  const originals = methods.map((method) => [method, console[method]] as const)
  for (const [method, original] of originals) {
    console[method] = (...args: unknown[]) => {
      for (const record of recorders) record(args)
      original.apply(console, args)
    }
  }
  return () => {
    for (const [method, original] of originals) console[method] = original
  }
}
