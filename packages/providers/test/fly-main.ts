// Run by fly-edge.test.ts on Bun and Deno: wakes and reaches the machine that the last argument describes.
import type { TicketKey } from "@project-ingress/forward"
import { machineFetcher } from "../src/fetcher.ts"
import { flyThrough, machineOf } from "./fly-through.ts"

interface Input {
  readonly apiBase: string
  readonly edgeOrigin: string
  readonly token: string
  readonly id: string
  readonly port: number
  readonly signing: TicketKey
}

const { id, port, signing, token, ...cloud } = JSON.parse(globalThis.process.argv.at(-1)!) as Input
const provider = flyThrough(cloud, token)
const signal = AbortSignal.timeout(10_000)
console.log((await provider.status!(machineOf(id), { signal })).state)
const answer = await machineFetcher(provider, machineOf(id), { port, signing })(
  new Request("https://app.example.test/"),
)
console.log(await answer.text())
console.log((await provider.status!(machineOf(id), { signal })).state)
globalThis.process.exit(0)
