import { defaultHeaderNames } from "@project-ingress/forward"
import { SendFailure } from "@project-ingress/forward/fetch"
import * as Effect from "effect/Effect"
import { MachineNotFound, MachineNotRunning, ProviderAuth, ProviderRateLimited } from "../src/contract/errors.ts"
import { ProviderUnavailable, machineRef } from "../src/contract/errors.ts"
import type { ProviderError } from "../src/contract/errors.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import type { AttemptRequest } from "../src/machines/attempt-request.ts"
import { makeMachines } from "../src/machines/machines.ts"
import type { MachinesOptions } from "../src/machines/machines-options.ts"

/** What a client did to one tenant's machines, and what it cost the vendor and another tenant. */
export interface Cost {
  readonly requests: number
  /** Calls of `resolve`, `status` and `start` for the machines that were attacked. */
  readonly calls: number
  /** Requests of the other tenant, and how many of them its machines responded to. */
  readonly neighbour: {
    readonly requests: number
    readonly served: number
    /** How many were the first to a machine, for which its vendor has to be called. */
    readonly firstVisits: number
    readonly calls: number
  }
}

type Reply = SendFailure | Readonly<{ status: number; error?: string }>

/** A vendor as the attacked machines find it: each may fail in its own way. */
export interface Vendor {
  readonly resolve?: (machine: Machine) => Error | undefined
  readonly start?: (machine: Machine) => Error
  /** Why `resolve` fails for every machine. */
  readonly everywhere?: (machine: Machine) => Error | undefined
  /** What every call waits for. */
  readonly until?: Promise<void>
  /** How many calls it takes from everybody, before it limits the rate. */
  readonly quota?: number
  /** The head of the response of an attacked machine. */
  readonly reply?: Reply
  /** The same, by where it was sent. */
  readonly replyOf?: (origin: string) => Reply
  readonly originOf?: (machine: Machine) => string
  readonly options?: Partial<MachinesOptions>
}

const retryAfterMs = 60_000
/** How many machines of the other tenant are in use before an attack. */
const KNOWN = 50
const stay = new AbortController().signal

/** A platform with two tenants at one vendor: `mallory` and `neighbour`. */
export const platform = (vendor: Vendor = {}) => {
  const { originOf = (machine: Machine) => `http://${machine.externalId}.test` } = vendor
  const calls = new Map<string, number>()
  let total = 0
  let refused = 0
  const called = (machine: Machine): void => {
    calls.set(machine.externalId, (calls.get(machine.externalId) ?? 0) + 1)
    if (++total <= (vendor.quota ?? Infinity)) return
    refused++
    throw new ProviderRateLimited({ ...machineRef(machine), retryAfterMs })
  }
  const attacked = (machine: Machine): boolean => machine.externalId.startsWith("mallory")
  const provider: MachineProvider = {
    type: "vendor",
    capabilities: {
      runtimes: ["node"],
      webSocket: true,
      wake: vendor.start === undefined ? "none" : "start",
      ports: "any",
      interceptedHeaders: [],
    },
    async resolve(machine) {
      called(machine)
      await vendor.until
      const error = vendor.everywhere?.(machine) ?? (attacked(machine) ? vendor.resolve?.(machine) : undefined)
      if (error !== undefined) throw error
      return { origin: originOf(machine), epoch: "1", ttlMs: 30_000, uptimeMs: 3_600_000 }
    },
    async status(machine) {
      called(machine)
      return { state: "running" }
    },
    ...(vendor.start !== undefined && {
      async start(machine: Machine) {
        called(machine)
        throw vendor.start!(machine)
      },
    }),
  }
  const machines = makeMachines({ providers: [provider], ...vendor.options })

  /** One request of a visitor; resolves with the status, or the error. */
  const request = async (
    tenant: string,
    { machine = "1", port = 3000, signal = stay } = {},
  ): Promise<number | ProviderError> => {
    const record: Machine = {
      id: `${tenant}-${machine}`,
      type: "vendor",
      externalId: `${tenant}-${machine}`,
      metadata: {},
    }
    const replyFrom = (origin: string): Reply =>
      (tenant === "mallory" ? (vendor.replyOf?.(origin) ?? vendor.reply) : undefined) ?? { status: 200 }
    const attempt: AttemptRequest<number> = {
      owner: tenant,
      send: ({ origin }) => {
        const reply = replyFrom(origin)
        if (reply instanceof SendFailure) return Effect.fail(reply)
        const { status, error } = reply
        const { stamp, error: code } = defaultHeaderNames
        const header = (name: string) => (name === stamp ? "1" : name === code ? error : undefined)
        return Effect.succeed({ status, header, response: status })
      },
      discard: () => {},
      replayable: () => true,
    }
    return Effect.runPromise(
      Effect.match(machines.reach(record, port, attempt), {
        onSuccess: ({ response }) => response,
        onFailure: (error): number | ProviderError => error,
      }),
      { signal },
    )
  }
  /** The status of one request, or the tag of its error. */
  const visit = async (...[tenant, where]: Parameters<typeof request>): Promise<number | string> => {
    const outcome = await request(tenant, where)
    return typeof outcome === "number" ? outcome : outcome._tag
  }
  const callsOf = (tenant: string): number =>
    [...calls].reduce((sum, [machine, count]) => sum + (machine.startsWith(tenant) ? count : 0), 0)

  /**
   * Runs an attack with visitors of the other tenant beside it: for every ten of its requests, one to a machine that was in use
   * before, or the first one to another.
   */
  const attack = async (requests: number, one: (at: number) => Promise<unknown>): Promise<Cost> => {
    const neighbour = { requests: 0, served: 0, firstVisits: 0 }
    const visitNeighbour = (machine: string) => visit("neighbour", { machine })
    for (let machine = 0; machine < KNOWN; machine++) await visitNeighbour(`known${machine}`)
    const before = callsOf("neighbour")
    for (let at = 0; at < requests; at++) {
      await one(at)
      if (at % 10 !== 9) continue
      const isFirst = neighbour.requests++ % 2 === 0
      const machine = isFirst ? `new${neighbour.firstVisits++}` : `known${neighbour.requests % KNOWN}`
      if ((await visitNeighbour(machine)) === 200) neighbour.served++
    }
    return { requests, calls: callsOf("mallory"), neighbour: { ...neighbour, calls: callsOf("neighbour") - before } }
  }
  return { visit, failureOf: request, attack, callsOf, refused: () => refused }
}

/** The attacks, by what a client does. */
export const attacks: Readonly<Record<string, () => Promise<Cost>>> = {
  "2 000 ports of one machine": () => {
    const { visit, attack } = platform()
    return attack(2_000, (at) => visit("mallory", { port: at + 1 }))
  },
  "a deleted machine": () => {
    const { visit, attack } = platform({ resolve: (machine) => new MachineNotFound(machineRef(machine)) })
    return attack(1_000, () => visit("mallory"))
  },
  "a refused start": () => {
    const { visit, attack } = platform({
      resolve: (machine) => new MachineNotRunning({ ...machineRef(machine), state: "stopped" }),
      start: (machine) => new ProviderUnavailable({ ...machineRef(machine), reason: "HTTP 412" }),
    })
    return attack(1_000, () => visit("mallory"))
  },
  "a 429 of the vendor's API with retry-after: 60": () => {
    const { visit, attack } = platform({
      resolve: (machine) => new ProviderRateLimited({ ...machineRef(machine), retryAfterMs }),
    })
    return attack(1_000, () => visit("mallory"))
  },
  "a 401 of the vendor's API": () => {
    const { visit, attack } = platform({ resolve: (machine) => new ProviderAuth(machineRef(machine)) })
    return attack(1_000, () => visit("mallory"))
  },
  "a machine that answers a stamped 421 forever": () => {
    const { visit, attack } = platform({ reply: { status: 421, error: "MACHINE_MISMATCH" } })
    return attack(1_000, () => visit("mallory"))
  },
  "6 000 requests to one project, at a vendor that allows 10 000 calls": () => {
    const { visit, attack } = platform({
      quota: 10_000,
      reply: { status: 421, error: "MACHINE_MISMATCH" },
    })
    return attack(6_000, (at) => visit("mallory", { port: at + 1 }))
  },
  "20 000 ports of one project, twice what a table holds": () => {
    const { visit, attack } = platform()
    return attack(20_000, (at) => visit("mallory", { port: at + 1 }))
  },
  "20 000 machines of one project, twice what a table holds": () => {
    const { visit, attack } = platform()
    return attack(20_000, (at) => visit("mallory", { machine: String(at) }))
  },
}
