import { canonicalAddress } from "@project-ingress/router/internal"
import type { DnsVerdict } from "./write-response.ts"

/** Gives the address of a machine; `undefined`: there is no such machine. */
export type ResolveMachine = (
  machine: string,
  options: { readonly signal: AbortSignal },
) => string | undefined | Promise<string | undefined>

/** How many machines are resolved at the same time. */
const MAX_CALLS = 256

/** What a machine's name leads to. Never rejects. */
export interface MachineResolver {
  resolve(machine: string): Promise<{ readonly address: string } | Extract<DnsVerdict, "NXDOMAIN" | "SERVFAIL">>
  /** Aborts what is pending. */
  dispose(): void
}

/** Calls `resolve` once for all who ask for a machine at the same time, for `timeoutMs` at most. */
export const machineResolver = (
  resolve: ResolveMachine,
  timeoutMs: number,
  onError: (error: unknown, machine: string) => void,
): MachineResolver => {
  const pending = new Map<string, ReturnType<MachineResolver["resolve"]>>()
  const disposal = new AbortController()

  const call = async (machine: string): ReturnType<MachineResolver["resolve"]> => {
    const deadline = new AbortController()
    const timer = setTimeout(() => deadline.abort(new DOMException("no address in time", "TimeoutError")), timeoutMs)
    const signal = AbortSignal.any([deadline.signal, disposal.signal])
    try {
      const found = await Promise.race([
        (async () => resolve(machine, { signal }))(),
        new Promise<never>((_, reject) => {
          signal.addEventListener("abort", () => reject(signal.reason as Error), { once: true })
        }),
      ])
      if (found === undefined) return "NXDOMAIN"
      const address = typeof found === "string" ? canonicalAddress(found) : undefined
      if (address === undefined) throw new TypeError("resolve must give an IP address or undefined")
      return { address }
    } catch (error) {
      if (!disposal.signal.aborted) onError(error, machine)
      return "SERVFAIL"
    } finally {
      clearTimeout(timer)
      pending.delete(machine)
    }
  }

  return {
    resolve: (machine) => {
      const underway = pending.get(machine)
      if (underway !== undefined) return underway
      if (pending.size >= MAX_CALLS) return Promise.resolve("SERVFAIL")
      // Set first: `resolve` may return at once, and what is pending is taken out then.
      let begin!: () => void
      const result = new Promise<void>((resolve) => {
        begin = resolve
      }).then(() => call(machine))
      pending.set(machine, result)
      begin()
      return result
    },
    dispose: () => disposal.abort(new DOMException("the responder is closed", "AbortError")),
  }
}
