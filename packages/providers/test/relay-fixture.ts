/** A relay in workerd, and machines of this process that dial out to it. */
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { EdDsaSigningKey } from "@project-ingress/forward"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { bundleWorker } from "../../../test/bundle-worker.ts"
import { createMachineProxy } from "../../machine-proxy/src/machine-proxy.ts"
import { connectRelay } from "../../machine-proxy/src/relay.ts"
import type { Relay, RelayEvent, RelayOptions } from "../../machine-proxy/src/relay.ts"

export interface RelayWorker {
  readonly url: URL
  /** Where machines connect. */
  readonly connectUrl: string
  readonly signing: EdDsaSigningKey
  readonly connect: (
    machine: string,
    more?: Partial<RelayOptions> & { readonly loopback?: string },
  ) => Promise<Connected>
  readonly events: () => Promise<{ readonly events: readonly { readonly type: string }[]; readonly objects: number }>
  readonly close: () => Promise<void>
}

export interface Connected extends Relay {
  readonly events: RelayEvent[]
  readonly until: (type: RelayEvent["type"], from?: number) => Promise<RelayEvent>
}

export const startRelay = async (bindings: Readonly<Record<string, unknown>> = {}): Promise<RelayWorker> => {
  const { signing } = await generateTicketKeys("relay")
  const script = await bundleWorker(new URL("relay-worker.ts", import.meta.url), {
    external: ["node:*", "cloudflare:*"],
  })
  const worker = new Miniflare(
    convertV4MiniflareOptions({
      cf: false,
      modules: true,
      script,
      compatibilityDate: "2026-01-01",
      compatibilityFlags: ["nodejs_compat", "enable_request_signal", "request_signal_passthrough"],
      durableObjects: { RELAY: { className: "Relay", useSQLite: true } },
      bindings: { SIGNING_KEYS: [signing], ...bindings } as never,
      // Miniflare's own entry reads bodies without being asked to.
      unsafeDirectSockets: [{ port: 0 }],
    }),
  )
  await worker.ready
  const url = await worker.unsafeGetDirectURL()
  const connectUrl = new URL("connect", url).href.replace("http:", "ws:")
  const opened: Relay[] = []
  return {
    url,
    connectUrl,
    signing,
    connect: async (machine, more = {}) => {
      const relay = await dial({ url: connectUrl, machine, signing, ...more })
      opened.push(relay)
      return relay
    },
    events: async () => (await fetch(new URL("events", url))).json() as never,
    close: async () => {
      await Promise.all(opened.map((relay) => relay.close()))
      await worker.dispose()
    },
  }
}

/** Dials out as a machine of this process. */
export const dial = async ({
  machine,
  signing,
  loopback = "127.0.0.1",
  ...options
}: Partial<RelayOptions> & {
  readonly url: string
  readonly machine: string
  readonly signing: EdDsaSigningKey
  readonly loopback?: string
}): Promise<Connected> => {
  const keys = [await machineKey(signing, machine)]
  const proxy = createMachineProxy({ machine, keys, loopback })
  const events: RelayEvent[] = []
  const waiting = new Set<() => void>()
  const onEvent = (event: RelayEvent): void => {
    events.push(event)
    for (const look of waiting) look()
  }
  const relay = connectRelay({ machine, keys, proxy, minRetryMs: 50, maxRetryMs: 500, ...options, onEvent })
  const until = (type: RelayEvent["type"], from = 0): Promise<RelayEvent> =>
    new Promise((resolve) => {
      const look = (): void => {
        const found = events.slice(from).find((event) => event.type === type)
        if (found === undefined) return
        waiting.delete(look)
        resolve(found)
      }
      waiting.add(look)
      look()
    })
  return { ...relay, events, until }
}
