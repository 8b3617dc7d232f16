import type { SigningKey } from "@project-ingress/forward"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Ends what a hook began. */
export type Undo = () => unknown

/** A connection as bytes, one character each. */
export interface FixtureSocket {
  readonly write: (text: string) => void
  /** What comes next; `undefined` at the end. */
  readonly read: () => Promise<string | undefined>
  readonly close: () => void
}

/**
 * What a provider is tested with. `provider` and `machine` are enough; every further field enables the laws that need it, and
 * the others are skipped with the missing field as the reason. Hooks act behind the adapter's back, as the vendor's own
 * console would, and resolve when the platform has done it.
 */
export interface Fixture {
  readonly provider: MachineProvider
  /** It runs, its machine proxy requires tickets of `signingKey` for its `id`, and `conformanceApp` listens inside. */
  readonly machine: Machine
  /** The port that the app listens on inside the machine. Default 3000. */
  readonly port?: number
  /** Signs the tickets. Without it the machine proxies run without keys, and nothing protects a machine from another's requests. */
  readonly signingKey?: SigningKey
  /** A second machine of the provider, running in the same way under its own `id`. */
  readonly other?: Machine
  /** A valid record of a machine that the provider does not know. */
  readonly missing?: Machine
  /** Records that the adapter must refuse, by the name of the invalid field. */
  readonly wrong?: Readonly<Record<string, Machine>>
  /** The secrets that the adapter was given. They, and the key of `signingKey`, must be in none of its results and errors. */
  readonly secrets?: readonly string[]
  /** Stops `machine`. */
  readonly stop?: () => Promise<unknown>
  /** Suspends `machine`, where that differs from stopping it. Without `stop`, the laws about starting a machine use it. */
  readonly suspend?: () => Promise<unknown>
  /** Starts `machine`, or restarts it when it runs. Gives its record from now on, which usually stays the same. */
  readonly restart?: () => Promise<Machine>
  /** Removes `machine` for good. Called last. */
  readonly remove?: () => Promise<unknown>
  /** Keeps `machine` in the state in which it starts. */
  readonly starting?: () => Promise<Undo>
  /** Starts `other` at the address of `machine`, and `machine` at another one. Gives the new record of `machine`. */
  readonly swap?: () => Promise<Machine>
  /** The vendor's API accepts requests and never responds. */
  readonly hang?: () => Promise<Undo>
  /** The vendor responds that there were too many requests, with a time to wait. */
  readonly rateLimit?: () => Promise<Undo>
  /** The edge requires other credentials from now on, which the vendor's API gives out. */
  readonly rotate?: () => Promise<unknown>
  /** The vendor rejects our credentials. */
  readonly unauthorized?: () => Promise<Undo>
  /** The vendor's API fails. */
  readonly unavailable?: () => Promise<Undo>
  /** `machine` runs, and its machine proxy does not listen. */
  readonly portClosed?: () => Promise<Undo>
  /** Opens a connection to an origin of the provider's, by TLS for `https:`, for what no Fetch shows: trailers. */
  readonly connect?: (origin: string) => Promise<FixtureSocket>
}

/** What a law may need: a field of the fixture, or an ability of the provider. */
export type Need =
  | Exclude<keyof Fixture, "provider" | "machine" | "port">
  | "provider.status"
  | "provider.start"
  | "provider.keepAlive"
  | "provider.watch"
  | "provider.classify"
  | "webSocket"
  | "wake"
  /** `stop` or `suspend`, for what holds of both: there are platforms that can only pause a machine. */
  | "down"
  | "carries.trailers"
  | "carries.duplex"
