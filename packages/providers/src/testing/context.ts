import type { Endpoint, Machine, MachineProvider } from "../contract/machine-provider.ts"
import { machineFetcher } from "../transport/machine-fetcher.ts"
import type { FetcherOptions, MachineFetcher } from "../transport/machine-fetcher.ts"
import type { Fixture } from "./fixture.ts"

/** What a law works with. All laws of a suite share one. */
export interface LawContext {
  readonly fixture: Fixture
  /** The fixture's provider. Its results and errors are recorded. */
  readonly provider: MachineProvider
  /** The machine's record as it is now. */
  machine: Machine
  readonly port: number
  /** Everything that may reach a log or a client: results and errors of the provider and of fetchers. */
  readonly recorded: unknown[]
  /** What was printed on the console while laws were checked. */
  readonly printed: unknown[]
  /** A fetcher for the machine as it is now, or for another provider or machine. */
  fetcher(
    options?: FetcherOptions & { readonly provider?: MachineProvider; readonly machine?: Machine },
  ): MachineFetcher
  /** Sends a request to the app, through a fetcher that the laws share as long as the machine's record stays the same. */
  request(path: string, init?: RequestInit): Promise<Response>
  /** A name that no other law uses. */
  uniqueName(): string
}

/** Never aborts. */
export const neverAborted = new AbortController().signal

export const requestTo = (path: string, init?: RequestInit): Request =>
  new Request(`https://app.example.test${path}`, init)

export const makeContext = (fixture: Fixture): LawContext => {
  const recorded: unknown[] = []
  const provider = recordingProvider(fixture.provider, recorded)
  let shared: { readonly machine: Machine; readonly fetcher: MachineFetcher } | undefined
  let names = 0
  const run = Math.random().toString(36).slice(2)
  const context: LawContext = {
    fixture,
    provider,
    machine: fixture.machine,
    port: fixture.port ?? 3000,
    recorded,
    printed: [],
    fetcher: ({ provider: other = provider, machine = context.machine, ...options } = {}) =>
      recordingFetcher(
        machineFetcher(other, machine, {
          port: context.port,
          ...(fixture.signingKey === undefined ? {} : { signingKey: fixture.signingKey }),
          ...options,
        }),
        recorded,
      ),
    request: (path, init) => {
      if (shared?.machine !== context.machine) shared = { machine: context.machine, fetcher: context.fetcher() }
      return shared.fetcher(requestTo(path, init))
    },
    uniqueName: () => `${run}-${names++}`,
  }
  return context
}

/** A provider with another `resolve`; everything else is the same. */
export const withResolve = (provider: MachineProvider, resolve: MachineProvider["resolve"]): MachineProvider => ({
  ...provider,
  resolve,
})

/** An endpoint at which nothing listens. */
export const unreachable = (endpoint: Endpoint): Endpoint => ({
  ...endpoint,
  origin: "http://127.0.0.1:1",
  addresses: undefined,
  pin: undefined,
  fetch: undefined,
})

const recordingFetcher = (fetcher: MachineFetcher, recorded: unknown[]): MachineFetcher => {
  const rethrow = (error: unknown): never => {
    recorded.push(error)
    throw error
  }
  return Object.assign((request: Request) => fetcher(request).catch(rethrow), {
    connect: (request: Request) => fetcher.connect(request).catch(rethrow),
  })
}

/** The same provider, with its results and errors recorded. Its methods are called on it: an adapter may use `this`. */
const recordingProvider = (provider: MachineProvider, recorded: unknown[]): MachineProvider => {
  const record = async <A>(call: () => Promise<A>, shown: (value: A) => unknown): Promise<A> => {
    try {
      const value = await call()
      recorded.push(shown(value))
      return value
    } catch (error) {
      recorded.push(error)
      throw error
    }
  }
  const has = (member: "status" | "start" | "keepAlive" | "watch" | "classify"): boolean =>
    provider[member] !== undefined
  return {
    type: provider.type,
    capabilities: provider.capabilities,
    resolve: (machine, options) =>
      // An endpoint's headers are the one place where secrets belong.
      record(
        () => provider.resolve(machine, options),
        ({ origin, epoch }) => [origin, epoch],
      ),
    ...(has("status") && {
      status: (machine, options) =>
        record(
          () => provider.status!(machine, options),
          (status) => status,
        ),
    }),
    ...(has("start") && { start: (machine, options) => record(() => provider.start!(machine, options), nothing) }),
    ...(has("keepAlive") && {
      keepAlive: (machine, options) => record(() => provider.keepAlive!(machine, options), nothing),
    }),
    ...(has("watch") && { watch: (options) => provider.watch!(options) }),
    // A law of its own looks for secrets in verdicts.
    ...(has("classify") && { classify: (response, machine) => provider.classify!(response, machine) }),
  }
}

const nothing = (): undefined => undefined
