/** A fixture that lives in another process: its data as JSON, its hooks behind HTTP. Runs in every runtime. */
import type { Machine, MachineProvider } from "../src/machine-provider.ts"
import type { Fixture, Undo } from "../src/testing.ts"

export const hookNames = [
  "stop",
  "suspend",
  "restart",
  "remove",
  "starting",
  "swap",
  "hang",
  "rateLimit",
  "unauthorized",
  "unavailable",
  "portClosed",
] as const
export type HookName = (typeof hookNames)[number]

export interface Remote extends Pick<
  Fixture,
  "machine" | "other" | "port" | "signing" | "missing" | "wrong" | "secrets"
> {
  /** Where the hooks are. */
  readonly origin: string
  readonly hooks: readonly HookName[]
}
/** What calling a hook brings. */
export interface HookAnswer {
  readonly machine: Machine
  readonly other?: Machine | undefined
  /** What `/undo/…` is called with. */
  readonly undo?: number | undefined
}

export const remoteFixture = (provider: MachineProvider, remote: Remote): Fixture => {
  const { origin, hooks, ...data } = remote
  let { other } = data
  const call = async (path: string): Promise<HookAnswer> => {
    const answer = (await (await fetch(`${origin}/${path}`)).json()) as HookAnswer
    other = answer.other
    return answer
  }
  const hook = (name: HookName) => async (): Promise<Machine | Undo> => {
    const { machine, undo } = await call(name)
    return undo === undefined ? machine : () => call(`undo/${undo}`)
  }
  const fixture = { ...data, provider, ...Object.fromEntries(hooks.map((name) => [name, hook(name)])) }
  return other === undefined ? fixture : Object.defineProperty(fixture, "other", { get: () => other })
}
