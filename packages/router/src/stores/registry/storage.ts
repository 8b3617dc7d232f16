import type { Change } from "./operations.ts"
import type { Purgeable } from "./purge.ts"
import type { State } from "./state.ts"

/** Where a registry's rows are. Runs may happen several times, and have no effect but on the state they are given. */
export interface RegistryStorage {
  /** Runs a change whole or not at all, as if no other ran meanwhile. Every route that it concerns changes with it. */
  readonly change: <A>(run: (change: Change) => A) => A | Promise<A>
  /** Reads rows. `ids`: projects that will be read, to be had at once. */
  readonly read: <A>(run: (state: State) => A, ids?: readonly string[]) => A | Promise<A>
  /** Ids of projects whose id or name begins with a text, at most 10. */
  readonly beginningWith: (text: string, owner: string | undefined) => readonly string[] | Promise<readonly string[]>
  /** Ids of projects after one, in order, at most `limit`. */
  readonly listAfter: (
    id: string,
    owner: string | undefined,
    limit: number,
  ) => readonly string[] | Promise<readonly string[]>
  /** Rows whose `purgeTime` is over, at most 100. */
  readonly purgeable: () => readonly Purgeable[] | Promise<readonly Purgeable[]>
}
