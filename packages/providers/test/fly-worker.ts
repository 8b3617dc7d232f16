// Bundled and run by fly-edge.test.ts in workerd.
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

export default {
  async fetch(request: Request): Promise<Response> {
    const input = JSON.parse(new URL(request.url).searchParams.get("input")!) as Input
    const { id, port, signing, token } = input
    try {
      const fetcher = machineFetcher(flyThrough(input, token), machineOf(id), { port, signing })
      return await fetcher(new Request("https://app.example.test/", { headers: request.headers }))
    } catch (error) {
      return new Response((error as { readonly _tag?: string })._tag ?? String(error), { status: 500 })
    }
  },
}
