/** A machine for `walk.ts`, in a process of its own: an app, and a machine proxy before it. */
import { once } from "node:events"
import { createServer } from "node:http"
import { createServer as listen, type AddressInfo } from "node:net"
import { generateTicketKeys, machineKey } from "../../packages/forward/src/forward.ts"
import { createMachineProxy } from "../../packages/machine-proxy/src/machine-proxy.ts"

const id = "mach_1"
const { signing: signingKey } = await generateTicketKeys("walk")
const key = await machineKey(signingKey, id)
const app = createServer((request, response) => response.end(`hello from ${request.url}`)).listen(0, "127.0.0.1")
const proxy = createMachineProxy({ machine: id, keys: [key] })
const machine = listen(proxy.connection).listen(0, "127.0.0.1")
await Promise.all([once(app, "listening"), once(machine, "listening")])
const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port

/** What a router needs to know of the machine. */
const message = { id, signingKey, appPort: portOf(app), proxyPort: portOf(machine) }
export type MachineMessage = typeof message

process.on("disconnect", () => process.exit())
process.send?.(message)
