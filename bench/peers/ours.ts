// The machine proxy as its command mounts it, with the public half of a key: it verifies the ticket of each request.
import { createServer } from "node:net"
import type { TicketKey } from "../../packages/forward/src/forward.ts"
import { createMachineProxy } from "../../packages/machine-proxy/src/machine-proxy.ts"
import { listen } from "./job.ts"

const proxy = createMachineProxy({
  machine: process.env["MACHINE"] ?? "",
  keys: JSON.parse(process.env["TICKET_KEYS"] ?? "[]") as TicketKey[],
  // The default of 10 000 is the number of idle WebSockets that is measured; the run's own probes come on top.
  limits: { maxConnections: 20_000 },
})
listen(createServer(proxy.connection))
