// The whole way of a request, client → router → machine proxy → app, and what each hop of it costs, beside one hop of nginx
// and a TCP pipe. Each round loads the chain and then each of the others, so that a ratio compares neighbours in time.
import type { makeMeasure, Way } from "./measure.ts"
import type { Peer } from "./peer.ts"
import type { Rounds } from "./table.ts"
import { ours, peers, router } from "./peers.ts"
import { scenarios } from "./scenarios.ts"

/** A peer that was started: where it listens, the way through it, and how it is stopped. */
export interface Started {
  readonly port: number
  readonly way: Way
  readonly stop: () => Promise<void>
}

/** Starts a peer; `machinePort`: of the machine proxy that a router sends to. Rejects if it does not start. */
export type Start = (peer: Peer, machinePort?: number) => Promise<Started>

/** The project of the memory store's one route. */
export const PROJECT = "misha.iterate.app"

const titles = ["hello", "64k", "1m", "post16k"]

/** Measures the chain in each of its scenarios; the processes are `router`, `machine`, `machine alone`, `nginx` and `tcp`. */
export const measureChain = async (
  start: Start,
  measure: ReturnType<typeof makeMeasure>,
): Promise<ReadonlyMap<string, Rounds>> => {
  const started: Started[] = []
  const begin: Start = async (peer, machinePort) => {
    const begun = await start(peer, machinePort)
    started.push(begun)
    return begun
  }
  try {
    const machine = await begin({ ...ours, name: "machine" })
    const front = await begin(router, machine.port)
    const both: Way = {
      ...front.way,
      hops: [...front.way.hops, ...machine.way.hops],
      // No ticket and no target: the router knows the machine, and signs.
      fields: async (to) => [["Host", `${to}__${PROJECT}`]],
    }
    const alone = [
      { ...ours, name: "machine alone" },
      ...peers.filter(({ name }) => name === "nginx" || name === "tcp"),
    ]
    const ways = [both]
    for (const peer of alone) ways.push((await begin(peer)).way)

    const results = new Map<string, Rounds>()
    for (const scenario of scenarios) {
      if (titles.includes(scenario.name)) results.set(scenario.name, await measure.http(scenario, ways))
    }
    return results.set("websocket", await measure.webSockets(ways))
  } finally {
    for (const { stop } of started) await stop()
  }
}
