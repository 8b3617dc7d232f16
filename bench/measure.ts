// Loads one way to the app after another, round by round.
import type { Child } from "./processes.ts"
import type { Load, Sample } from "./load.ts"
import type { Fields, Scenario } from "./scenarios.ts"
import type { Rounds } from "./table.ts"
import { loadHttp, loadSockets, probe } from "./load.ts"
import { fill } from "./scenarios.ts"

/** A way to the app, through one proxy or several, of which each is a process that is measured. */
export interface Way {
  /** Its proxies, in the order in which a request passes them. */
  readonly hops: readonly { readonly name: string; readonly child: Child }[]
  /** Where the first of them listens. */
  readonly port: number
  readonly webSocketPort: number
  /** The fields of a request for a port of the app. Made anew for each load: a ticket lives for a minute. */
  readonly fields: (to: number) => Promise<Fields>
}

/** How a run measures. */
export interface Method {
  readonly rounds: number
  readonly seconds: number
  readonly connections: number
  /** For the scripts of wrk. */
  readonly directory: string
  readonly origin: number
  readonly webSocketOrigin: number
}

/** Measures the ways that take a scenario's request; `onAbsent` is told why another one does not. */
export const makeMeasure = (method: Method, onAbsent: (reason: string) => void) => {
  const { connections, directory, origin, webSocketOrigin } = method
  let cold = true

  const interleave = async (
    ways: readonly Way[],
    load: (way: Way, children: readonly Child[], seconds: number) => Promise<readonly Sample[]>,
  ): Promise<Rounds> => {
    const samples = new Map<string, Sample[]>(ways.flatMap(({ hops }) => hops.map(({ name }) => [name, []])))
    const round = async (way: Way, seconds: number): Promise<readonly Sample[]> =>
      load(
        way,
        way.hops.map(({ child }) => child),
        seconds,
      )
    // Engines that compile while they run have seen the kind of request before it counts; at first there is most to compile.
    for (const way of ways) await round(way, cold ? 1.5 : 0.4)
    cold = false
    for (let n = 0; n < method.rounds; n++) {
      for (const way of ways) {
        const found = await round(way, method.seconds)
        way.hops.forEach(({ name }, at) => samples.get(name)?.push(found[at]!))
      }
    }
    return samples
  }

  const proves = async (way: Way, scenario: Scenario, fields: Fields): Promise<boolean> => {
    const name = way.hops.map((hop) => hop.name).join(" and ")
    try {
      const [status, octets] = await probe(way.port, scenario, fields)
      if (status === 200 && octets === scenario.answer) return true
      onAbsent(`${name}: in ${scenario.name} answered ${status} with ${octets} octets, not 200 with ${scenario.answer}`)
    } catch (error) {
      onAbsent(`${name}: in ${scenario.name}: ${error instanceof Error ? error.message : String(error)}`)
    }
    return false
  }

  return {
    http: async (scenario: Scenario, ways: readonly Way[]): Promise<Rounds> => {
      const { headers } = scenario
      const fieldsOf = async (way: Way): Promise<Fields> => {
        const fields = await way.fields(origin)
        return headers === undefined ? fields : fill(fields, headers)
      }
      const able: Way[] = []
      for (const way of ways) if (await proves(way, scenario, await fieldsOf(way))) able.push(way)
      return interleave(able, async (way, children, seconds) => {
        const load: Load = { port: way.port, fields: await fieldsOf(way), connections, seconds, directory }
        return loadHttp(children, scenario, load)
      })
    },
    webSockets: (ways: readonly Way[]): Promise<Rounds> =>
      interleave(ways, async (way, children, seconds) => {
        const fields = await way.fields(webSocketOrigin)
        return loadSockets(children, { port: way.webSocketPort, fields, connections }, seconds)
      }),
  }
}
