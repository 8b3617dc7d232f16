/**
 * What a machine's fetcher costs: CPU µs per request of this process, over the platform's bare `fetch` of the same URL, with a
 * warm endpoint and a ticket. Interleaved rounds; the machine is a process of its own.
 *
 *     node --conditions=@project-ingress/source packages/providers/bench/fetcher.ts [rounds] [requests]
 */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { generateTicketKeys } from "@project-ingress/forward"
import { local } from "../src/local.ts"
import { machineFetcher } from "../src/providers.ts"

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
  const reach = machineFetcher(local(), record, { signing })
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
  machine.disconnect()
}
