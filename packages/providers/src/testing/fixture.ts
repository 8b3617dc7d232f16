import type { SigningKey } from "@project-ingress/forward"
import type { Machine, MachineProvider } from "../contract/machine-provider.ts"

/** Ends what a hook began. */
export type Undo = () => unknown

/**
 * What a provider is proved with. `provider` and `machine` are enough to begin; every further field opens the laws that need
 * it, and those that are closed say so in the runner's report. Hooks act behind the adapter's back, as the vendor's own
 * console would, and resolve when the platform has done it.
 */
export interface Fixture {
  readonly provider: MachineProvider
  /** It runs, its proxy requires tickets of `signing` for its `id`, and `conformanceApp` listens inside. */
  readonly machine: Machine
  /** Where the app listens inside the machine. 3000. */
  readonly port?: number
  /** Signs the tickets. Without it the proxies run without keys, and nothing guards one machine's address from another. */
  readonly signingKey?: SigningKey
  /** A second machine of the provider, running in the same way under its own `id`. */
  readonly other?: Machine
  /** A record of a machine that the provider does not know, and that it would accept. */
  readonly missing?: Machine
  /** Records that the adapter must refuse, by the name of the field that is wrong. */
  readonly wrong?: Readonly<Record<string, Machine>>
  /** Texts that the adapter was given as secrets. They, and the key of `signing`, are searched for in all it says. */
  readonly secrets?: readonly string[]
  /** Stops `machine`. */
  readonly stop?: () => Promise<unknown>
  /** Suspends `machine`, where that is something else than stopping. */
  readonly suspend?: () => Promise<unknown>
  /** Starts `machine`, or starts it anew when it runs. Gives its record as it is from now on, most often the same. */
  readonly restart?: () => Promise<Machine>
  /** Removes `machine` for good. The last thing that is done to it. */
  readonly remove?: () => Promise<unknown>
  /** Holds `machine` in the state in which it starts. */
  readonly starting?: () => Promise<Undo>
  /** Brings `other` up where `machine` answered, and `machine` elsewhere. Gives the new record of `machine`. */
  readonly swap?: () => Promise<Machine>
  /** The vendor's API takes questions and answers none. */
  readonly hang?: () => Promise<Undo>
  /** The vendor answers that there were too many requests, with a time to wait. */
  readonly rateLimit?: () => Promise<Undo>
  /** The edge wants other credentials from now on, which the vendor's API hands out. */
  readonly rotate?: () => Promise<unknown>
  /** The vendor refuses our credentials. */
  readonly unauthorized?: () => Promise<Undo>
  /** The vendor fails. */
  readonly unavailable?: () => Promise<Undo>
  /** `machine` runs and nothing listens where its proxy should. */
  readonly portClosed?: () => Promise<Undo>
}

/** What a law may need: a field of the fixture, or something that the provider has. */
export type Need =
  | Exclude<keyof Fixture, "provider" | "machine" | "port">
  | "provider.status"
  | "provider.start"
  | "provider.keepAlive"
  | "provider.watch"
  | "provider.classify"
  | "webSocket"
  | "wake"
