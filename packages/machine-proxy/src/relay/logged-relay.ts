import type { VerificationKey } from "@project-ingress/forward"
import type { jsonLine } from "@project-ingress/forward/internal"
import type { MachineProxy } from "../machine-proxy.ts"
import type { Relay } from "./connect-relay.ts"
import type { RelayEvent } from "./events.ts"

type Level = "info" | "warn" | "error"
type Fields = Parameters<typeof jsonLine>[0]

/** The relay of the command and of the layer, with a line in the log for every change. */
export const loggedRelay = async (
  {
    url,
    machine,
    keys,
  }: {
    readonly url: string
    readonly machine: string
    readonly keys: readonly VerificationKey[] | (() => readonly VerificationKey[])
  },
  proxy: MachineProxy,
  log: (level: Level, message: string, fields: Fields) => void,
): Promise<Relay> => {
  // Most machines have none, and load nothing of it.
  const { connectRelay } = await import("./connect-relay.ts")
  const { host } = new URL(url)
  return connectRelay({
    url,
    machine,
    keys,
    proxy,
    onEvent: (event) => {
      const [level, fields] = lineOf(event)
      log(level, "relay", { relay: host, state: event.type, ...fields })
    },
  })
}

const lineOf = (event: RelayEvent): readonly [Level, Fields] => {
  switch (event.type) {
    case "lost":
      return ["warn", { code: event.code, cause: event.reason, retryMs: event.retryMs }]
    case "refused":
      return ["error", { status: event.status, cause: event.reason, retryMs: event.retryMs }]
    case "replaced": {
      const cause = "another process connected as this machine: this one waits until it is gone"
      return ["error", { cause, retryMs: event.retryMs }]
    }
    default:
      return ["info", {}]
  }
}
