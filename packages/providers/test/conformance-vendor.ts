/** A vendor that has everything the conformance suite can ask for, and a correct adapter for it that mutants are made of. */
import type { IncomingMessage } from "node:http"
import {
  MachineNotFound,
  MachineNotRunning,
  MachineRecordInvalid,
  MachineStarting,
  ProviderAuth,
  ProviderRateLimited,
  ProviderUnavailable,
} from "../src/contract/errors.ts"
import type { Machine, MachineChange, MachineProvider, MachineState } from "../src/contract/machine-provider.ts"
import type { Fixture, ProcessMachine } from "../src/testing.ts"
import { twoMachines } from "./conformance-fixtures.ts"
import { fixtureSocket } from "./fixture-socket.ts"
import { answer, listen, refuse, sendOn, upgradeOn } from "./fakes/http.ts"
import type { FakeServer, Onward, Said } from "./fakes/http.ts"

export const TOKEN = "acme-canary-4f1d8c"

interface Answer {
  readonly status: number
  readonly state?: MachineState
  readonly port?: number
  readonly bootId?: string
  /** What the edge wants to see. */
  readonly pass?: string
  readonly echo?: string
}
/** The vendor's API. */
export type Ask = (
  verb: "get" | "start" | "touch",
  machine: string,
  options: { readonly token: string; readonly signal: AbortSignal },
) => Promise<Answer>
type Watch = (signal: AbortSignal) => AsyncIterable<MachineChange>

export const acme = (options: {
  readonly token: string
  readonly ask: Ask
  readonly watch: Watch
}): MachineProvider => {
  const { token, ask, watch } = options
  const where = (machine: Machine) => ({ provider: machine.type, machine: machine.externalId })
  const call = async (verb: "get" | "start" | "touch", machine: Machine, signal: AbortSignal): Promise<Answer> => {
    const { region } = machine.metadata
    if (region !== undefined && typeof region !== "string") {
      throw new MachineRecordInvalid({ ...where(machine), field: "region", accepted: "a text" })
    }
    const answer = await ask(verb, machine.externalId, { token, signal })
    if (answer.status === 404) throw new MachineNotFound(where(machine))
    if (answer.status === 401) throw new ProviderAuth(where(machine))
    if (answer.status === 429) throw new ProviderRateLimited({ ...where(machine), retryAfterMs: 1_000 })
    if (answer.status !== 200) throw new ProviderUnavailable({ ...where(machine), reason: `HTTP ${answer.status}` })
    return answer
  }
  return {
    type: "acme",
    capabilities: {
      runtimes: ["node"],
      webSocket: true,
      carries: { trailers: true, duplex: true },
      wake: "start",
      ports: "any",
      interceptedHeaders: ["authorization"],
    },
    async resolve(machine, { signal }) {
      const { state, port, bootId, pass } = await call("get", machine, signal)
      if (state === "starting") throw new MachineStarting(where(machine))
      if (state !== "running") throw new MachineNotRunning({ ...where(machine), state: state! })
      return {
        origin: `http://127.0.0.1:${port!}`,
        headers: { "x-acme-pass": pass! },
        epoch: bootId!,
        ttlMs: 60_000,
        uptimeMs: 60_000,
      }
    },
    async status(machine, { signal }) {
      const { state } = await call("get", machine, signal)
      return { state: state!, detail: state!, uptimeMs: 60_000 }
    },
    async start(machine, { signal }) {
      await call("start", machine, signal)
    },
    async keepAlive(machine, { signal }) {
      await call("touch", machine, signal)
    },
    watch: ({ signal }) => watch(signal),
    classify(answer, machine) {
      if (answer.status === 401) return "refresh-credentials"
      if (answer.status === 429) return new ProviderRateLimited(where(machine))
      if (answer.status >= 502 && answer.status <= 504) return "check-status"
      return new ProviderUnavailable({ ...where(machine), reason: `HTTP ${answer.status}` })
    },
  }
}

/** `make` may give another adapter than the correct one. */
export const acmeFixture = async (
  make: typeof acme = acme,
): Promise<Fixture & { readonly close: () => Promise<void> }> => {
  const { a, b, signing, close } = await twoMachines()
  let state: MachineState = "running"
  let failing: number | undefined
  let silent = false
  const watchers = new Set<(change: MachineChange) => void>()
  let pass = "acme-pass-1"
  const edges = new Map<number, Promise<FakeServer>>()
  /** The edge's own address for each address of a machine. */
  const edgeAt = async (port: number): Promise<number> => {
    const unreached = (): Said => ({ status: 502 })
    const told = ({ headers }: IncomingMessage): Onward | undefined =>
      headers["x-acme-pass"] === pass
        ? { port, headers, unreached, isOld: headers["x-acme-edge"] === "old" }
        : undefined
    let edge = edges.get(port)
    if (edge === undefined) {
      edge = listen(
        (request, response) => {
          const onward = told(request)
          if (onward === undefined) answer(response, 401)
          else sendOn(request, response, onward)
        },
        (request, socket, head) => {
          const onward = told(request)
          if (onward === undefined) refuse(socket, { status: 401 })
          else upgradeOn(request, socket, head, onward)
        },
      )
      edges.set(port, edge)
    }
    return (await edge).port
  }
  const become = (next: MachineState): void => {
    state = next
    for (const tell of watchers) tell({ externalId: a.id, state })
  }

  const ask: Ask = async (verb, id, { token, signal }) => {
    signal.throwIfAborted()
    if (silent) {
      await new Promise((_, reject) => {
        signal.addEventListener("abort", () => reject(signal.reason as Error))
      })
    }
    if (failing !== undefined) return { status: failing, echo: token }
    const machine = [a, b].find((each) => each.id === id)
    if (machine === undefined || (machine === a && state === "gone")) return { status: 404 }
    if (verb === "start" && machine === a && state !== "running") {
      become("running")
      await a.start()
    }
    const { bootId } = machine
    return { status: 200, state: machine === a ? state : "running", port: await edgeAt(machine.port), bootId, pass }
  }
  const watch: Watch = async function* (signal) {
    const changes: MachineChange[] = []
    let wake = (): void => {}
    const tell = (change: MachineChange): void => {
      changes.push(change)
      wake()
    }
    watchers.add(tell)
    signal.addEventListener("abort", () => wake())
    try {
      while (!signal.aborted) {
        if (changes.length === 0) await new Promise<void>((resolve) => (wake = resolve))
        yield* changes.splice(0)
      }
    } finally {
      watchers.delete(tell)
    }
  }
  const record = ({ id }: ProcessMachine, metadata: Machine["metadata"] = {}): Machine => ({
    id,
    type: "acme",
    externalId: id,
    metadata,
  })
  const fails = (status: number) => async () => {
    failing = status
    return () => {
      failing = undefined
    }
  }
  const rest = (next: MachineState) => async () => {
    become(next)
    await a.stop()
  }
  return {
    provider: make({ token: TOKEN, ask, watch }),
    machine: record(a),
    other: record(b),
    port: a.appPort,
    signingKey: signing,
    ...fixtureSocket,
    missing: { ...record(a), externalId: "nobody" },
    wrong: { region: record(a, { region: 7 }) },
    get secrets() {
      return [TOKEN, pass]
    },
    stop: rest("stopped"),
    suspend: rest("suspended"),
    remove: rest("gone"),
    restart: async () => {
      await a.start()
      become("running")
      return record(a)
    },
    starting: async () => {
      await rest("starting")()
      return async () => {
        await a.start()
        become("running")
      }
    },
    swap: async () => {
      const { port } = a
      await a.stop()
      await b.start(port)
      await a.start()
      return record(a)
    },
    hang: async () => {
      silent = true
      return () => {
        silent = false
      }
    },
    rotate: async () => (pass += "1"),
    rateLimit: fails(429),
    unauthorized: fails(401),
    unavailable: fails(500),
    portClosed: async () => {
      const { port } = a
      await a.stop()
      return () => a.start(port)
    },
    close: async () => {
      await close()
      await Promise.all([...edges.values()].map(async (edge) => (await edge).close()))
    },
  }
}
