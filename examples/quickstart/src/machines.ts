import { machineKey } from "@project-ingress/forward"
import type { EdDsaSigningKey } from "@project-ingress/forward"
import type { MachineInput } from "@project-ingress/router/stores/memory"

/** What both kinds of machines are started with. */
export interface StartOptions {
  readonly ids: readonly string[]
  /** Each machine gets a key of its own, derived from it, and never this one. */
  readonly signing: EdDsaSigningKey
  readonly signal: AbortSignal
  /** One line for each long step. */
  readonly say: (text: string) => void
}

/** Machines that run. */
export interface Machines {
  /** Where a route to a machine leads. `services` name its two apps: `app` and `plain`. */
  readonly routes: ReadonlyMap<string, MachineRoute>
  /** Whether the app is on 4096 in each of them; else only its name leads to it. */
  readonly byPort: boolean
}

/** A machine as a route has it. */
export interface MachineRoute extends MachineInput {
  readonly services: { readonly app: number; readonly plain: number }
  /** Where its proxy answers now. */
  readonly published: { readonly host: string; readonly port: number }
}

/** How a machine's proxy is configured: the same in a container and in a child process. */
export const environment = async (id: string, signing: EdDsaSigningKey): Promise<Record<string, string>> => ({
  INGRESS_MACHINE: id,
  INGRESS_TICKET_KEYS: JSON.stringify({ keys: [await machineKey(signing, id)] }),
  INGRESS_LOG: "off",
})

/** Undoes in the opposite order whatever was done, once, and goes on when one step fails. */
export class Undo {
  readonly #steps: (() => unknown)[] = []
  #run: Promise<boolean> | undefined

  /** A step fails when it throws, rejects or gives `false`, as another `Undo` does. */
  add(step: () => unknown): void {
    this.#steps.push(step)
  }

  /** Resolves with whether every step succeeded; never rejects. */
  run(): Promise<boolean> {
    this.#run ??= this.#all()
    return this.#run
  }

  async #all(): Promise<boolean> {
    let succeeded = true
    for (let step = this.#steps.pop(); step !== undefined; step = this.#steps.pop()) {
      try {
        if ((await step()) === false) succeeded = false
      } catch (error) {
        succeeded = false
        console.error(`could not clean up: ${(error as Error).message}`)
      }
    }
    return succeeded
  }
}

/** Waits until a machine's proxy is healthy, at most 60 s: a computer that is busy starts a container late. */
export const healthy = async (origin: string, signal: AbortSignal): Promise<void> => {
  const deadline = AbortSignal.any([signal, AbortSignal.timeout(60_000)])
  for (;;) {
    try {
      const response = await fetch(`${origin}/__ingress/health`, { signal: deadline })
      await response.text()
      if (response.ok) return
    } catch (error) {
      if (deadline.aborted) throw new Error(`the machine at ${origin} did not start`, { cause: error })
    }
    await new Promise((resolve) => setTimeout(resolve, 50))
  }
}
