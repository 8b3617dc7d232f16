// The router on sockets, in front of the machine proxy.
import { routerFor } from "../../packages/router/test/hosts/router.ts"
import { serveNode } from "../../packages/router/src/hosts/node.ts"

const setup = JSON.parse(process.env["SETUP"]!)
await serveNode(routerFor(setup)).listen({ hostname: "127.0.0.1", port: Number(process.env["PORT"]) })
