/**
 * What a machine's fetcher costs: CPU µs per request of this process, over the platform's bare `fetch` of the same URL, with a
 * warm endpoint and a ticket. Interleaved rounds; the machine is a process of its own. Then what 1 000 requests at once ask of
 * a provider whose machine sleeps: one start, and one question, which finds it asleep; where `start` does not tell, one more.
 *
 *     node --conditions=@project-ingress/source packages/providers/bench/fetcher.ts [rounds] [requests]
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { local } from "../src/adapters/local.ts"
import { machineFetcher, MachineNotRunning } from "../src/providers.ts"
import type { MachineProvider } from "../src/providers.ts"

if (process.argv[2] === "machine") {
  const server = createServer((_, response) =>
    response.writeHead(200, { "x-iterate-proxy-stamp": "1" }).end("hello, ingress"),
  )
  server.listen(0, "127.0.0.1", () => process.send?.((server.address() as AddressInfo).port))
  process.once("disconnect", () => process.exit())
} else {
  const [rounds = 9, requests = 20_000] = process.argv.slice(2).map(Number)
  const machine = spawn(process.execPath, [...process.execArgv, import.meta.filename, "machine"], {
    stdio: ["ignore", "inherit", "inherit", "ipc"],
  })
  const [port] = (await once(machine, "message")) as [number]
  const { signing } = await generateTicketKeys("bench")
  const record = { id: "mach_1", type: "local", externalId: "m", metadata: { port } }
  const reach = machineFetcher(local(), record, { signingKey: signing })
  const url = `http://127.0.0.1:${port}/hello`

  const contenders: Readonly<Record<string, () => Promise<Response>>> = {
    fetch: () => fetch(url),
    fetcher: () => reach(new Request(url)),
  }
  const measure = async (send: () => Promise<Response>): Promise<number> => {
    const before = process.cpuUsage()
    let left = requests
    const worker = async () => {
      while (left-- > 0) await (await send()).arrayBuffer()
    }
    await Promise.all(Array.from({ length: 32 }, worker))
    const { user, system } = process.cpuUsage(before)
    return (user + system) / requests
  }
  const median = (values: readonly number[]) => values.toSorted((a, b) => a - b)[values.length >> 1]!

  const seen: Record<string, number[]> = {}
  for (const [name, send] of Object.entries(contenders)) {
    await measure(send)
    seen[name] = []
  }
  for (let round = 0; round < rounds; round++) {
    for (const [name, send] of Object.entries(contenders)) seen[name]!.push(await measure(send))
  }
  for (const [name, values] of Object.entries(seen))
    console.log(name.padEnd(8), median(values).toFixed(1), "CPU µs per request")
  const added = median(seen["fetcher"]!.map((value, round) => value - seen["fetch"]![round]!))
  console.log(
    "added   ",
    added.toFixed(1),
    "CPU µs per request; at most 15 wanted:",
    added <= 15 ? "reached" : "missed",
  )

  const places = local()
  const asked = { start: 0, resolve: 0 }
  let awake = false
  const sleeping: MachineProvider = {
    ...places,
    capabilities: { ...places.capabilities, wake: "start" },
    resolve: async (machine, options) => {
      asked.resolve++
      if (!awake) throw new MachineNotRunning({ provider: "local", machine: machine.externalId, state: "stopped" })
      return places.resolve(machine, options)
    },
    start: async () => {
      asked.start++
      await new Promise((resolve) => setTimeout(resolve, 200))
      awake = true
      return places.resolve(record, { port, signal: AbortSignal.timeout(1_000) })
    },
  }
  const rouse = machineFetcher(sleeping, record, { signingKey: signing })
  const began = performance.now()
  const answers = await Promise.all(Array.from({ length: 1_000 }, async () => (await rouse(new Request(url))).text()))
  const same = new Set(answers).size === 1
  console.log(
    `cold     1000 requests at once: ${asked.start} start, ${asked.resolve} resolve, ${same ? "all" : "not all"} answered`,
    `${(performance.now() - began).toFixed(0)} ms after the first, of which the start took 200`,
  )
  machine.disconnect()
}
