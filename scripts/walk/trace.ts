/** Consecutive work in one file. */
export interface Step {
  /** From the root of the repository: `packages/router/src/router.ts`. */
  readonly file: string
  /** What ran, in order, without repetition: names of functions; `…` before one that went on after a wait. */
  readonly functions: string[]
}

/** What the instrumented sources call: at the beginning of a function, and, with its value, after a `yield` or `await`. */
export type Enter = (url: string, name: string, resumed?: { readonly value: unknown }) => unknown

declare global {
  var __walk: Enter | undefined
}

/** Records the steps of what `work` causes until it is settled. `shorten` makes a path of a file's URL. */
export const makeTrace = (shorten: (url: string) => string) => {
  let steps: Step[] | undefined

  const add = (url: string, name: string) => {
    if (steps === undefined) return
    const file = shorten(url)
    const last = steps.at(-1)
    if (last?.file !== file) steps.push({ file, functions: [name] })
    else if (!last.functions.includes(name)) last.functions.push(name)
  }

  globalThis.__walk = (url, name, resumed) => {
    if (resumed === undefined) {
      // A caller of ours that goes on to its next call is a step of its own: a reader goes back there, too.
      const caller = directCaller()
      if (caller !== undefined) add(caller.url, caller.name)
      add(url, name)
    } else add(url, `…${name}`)
    return resumed?.value
  }

  return async <A>(work: () => Promise<A>): Promise<{ result: A; steps: Step[] }> => {
    steps = []
    try {
      const result = await work()
      return { result, steps }
    } finally {
      steps = undefined
    }
  }
}

/** Our function that called the one which is being entered; `undefined` when a library or the platform did. */
const directCaller = (): { url: string; name: string } | undefined => {
  const { stackTraceLimit } = Error
  // oxlint-disable-next-line typescript/unbound-method -- put back below as it was, never called here
  const { prepareStackTrace } = Error
  Error.stackTraceLimit = 8
  Error.prepareStackTrace = (_, sites) => sites
  const holder: { stack?: unknown } = {}
  Error.captureStackTrace(holder, globalThis.__walk)
  const sites = holder.stack as NodeJS.CallSite[]
  Error.prepareStackTrace = prepareStackTrace
  Error.stackTraceLimit = stackTraceLimit
  // The first is the entered function itself. Built-ins such as `Array.map` have no file.
  const site = sites.slice(1).find((each) => each.getFileName() !== undefined && each.getFileName() !== null)
  const url = site?.getFileName() ?? ""
  if (!/\/packages\/[^/]+\/src\//.test(url)) return undefined
  return { url, name: site?.getFunctionName() ?? "(callback)" }
}
