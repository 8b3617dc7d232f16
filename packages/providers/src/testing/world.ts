import type { FetcherOptions, MachineFetcher } from "../transport/machine-fetcher.ts"
import { machineFetcher } from "../transport/machine-fetcher.ts"
import type { Endpoint, Machine, MachineProvider } from "../contract/machine-provider.ts"
import type { Fixture, Need } from "./fixture.ts"

/** One sentence about every provider, and how it is tried. */
export interface Law {
  /** In the present tense. */
  readonly says: string
  readonly needs: readonly Need[]
  readonly holds: (world: World) => unknown
}

export const law = (says: string, needs: readonly Need[], holds: (world: World) => unknown): Law => ({
  says,
  needs,
  holds,
})

/** What the laws of one suite share: the machine as it is now, and all that was said so far. */
export interface World {
  readonly fixture: Fixture
  /** The fixture's provider; what it says is kept. */
  readonly provider: MachineProvider
  /** Its record as it is now. */
  machine: Machine
  readonly port: number
  /** Everything that may reach a log or a client. */
  readonly said: unknown[]
  /** What was printed on the console meanwhile. */
  readonly printed: unknown[]
  /** A fetcher of the machine as it is now, or of another provider's idea of it. */
  fetcher(
    options?: FetcherOptions & { readonly provider?: MachineProvider; readonly machine?: Machine },
  ): MachineFetcher
  /** Asks the app through a fetcher that the laws share as long as the machine's record stays. */
  ask(path: string, init?: RequestInit): Promise<Response>
  /** A name that nothing else has. */
  unique(): string
}

/** Never aborts. */
export const forever = new AbortController().signal

export const requestOf = (path: string, init?: RequestInit): Request =>
  new Request(`https://app.example.test${path}`, init)

export const makeWorld = (fixture: Fixture): World => {
  const said: unknown[] = []
  const provider = listening(fixture.provider, said)
  let shared: { readonly machine: Machine; readonly fetcher: MachineFetcher } | undefined
  let names = 0
  const run = Math.random().toString(36).slice(2)
  const world: World = {
    fixture,
    provider,
    machine: fixture.machine,
    port: fixture.port ?? 3000,
    said,
    printed: [],
    fetcher: ({ provider: other = provider, machine = world.machine, ...options } = {}) =>
      overhear(
        machineFetcher(other, machine, {
          port: world.port,
          ...(fixture.signingKey === undefined ? {} : { signingKey: fixture.signingKey }),
          ...options,
        }),
        said,
      ),
    ask: (path, init) => {
      if (shared?.machine !== world.machine) shared = { machine: world.machine, fetcher: world.fetcher() }
      return shared.fetcher(requestOf(path, init))
    },
    unique: () => `${run}-${names++}`,
  }
  return world
}

/** A provider whose `resolve` is another; everything else stays. */
export const resolving = (
  provider: MachineProvider,
  resolve: (machine: Machine, options: { readonly port: number; readonly signal: AbortSignal }) => Promise<Endpoint>,
): MachineProvider => ({ ...provider, resolve })

/** An endpoint at which nobody answers. */
export const nobodyAt = (endpoint: Endpoint): Endpoint => ({
  ...endpoint,
  origin: "http://127.0.0.1:1",
  fetch: undefined,
})

const overhear = (fetcher: MachineFetcher, said: unknown[]): MachineFetcher => {
  const heard = (error: unknown): never => {
    said.push(error)
    throw error
  }
  return Object.assign((request: Request) => fetcher(request).catch(heard), {
    connect: (request: Request) => fetcher.connect(request).catch(heard),
  })
}

/** The same provider, whose words are kept. Its methods stay its own: an adapter may use `this`. */
const listening = (provider: MachineProvider, said: unknown[]): MachineProvider => {
  const kept = async <A>(ask: () => Promise<A>, words: (value: A) => unknown): Promise<A> => {
    try {
      const value = await ask()
      said.push(words(value))
      return value
    } catch (error) {
      said.push(error)
      throw error
    }
  }
  const has = (member: "status" | "start" | "keepAlive" | "watch" | "classify"): boolean =>
    provider[member] !== undefined
  return {
    type: provider.type,
    capabilities: provider.capabilities,
    resolve: (machine, options) =>
      // Its headers are the one place where secrets belong.
      kept(
        () => provider.resolve(machine, options),
        ({ origin, epoch }) => [origin, epoch],
      ),
    ...(has("status") && {
      status: (machine, options) =>
        kept(
          () => provider.status!(machine, options),
          (status) => status,
        ),
    }),
    ...(has("start") && { start: (machine, options) => kept(() => provider.start!(machine, options), nothing) }),
    ...(has("keepAlive") && {
      keepAlive: (machine, options) => kept(() => provider.keepAlive!(machine, options), nothing),
    }),
    ...(has("watch") && { watch: (options) => provider.watch!(options) }),
    // A law of its own looks for secrets in verdicts.
    ...(has("classify") && { classify: (answer, machine) => provider.classify!(answer, machine) }),
  }
}

const nothing = (): undefined => undefined
