import { createServer } from "node:http"
import { createServer as netServer } from "node:net"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { generateTicketKeys } from "@project-ingress/forward"
import { createMachineProxy } from "@project-ingress/machine-proxy"
import * as rr from "/work/wt-stops/examples/load-balancers/test/rolling-restart.ts"
const [which, lb, n] = process.argv.slice(2)
const app = createServer(async (q, s) => { let b = 0; for await (const c of q) b += (c as Buffer).length; s.end(`${q.method} ${b}`) }).listen(0, "127.0.0.1")
await once(app, "listening")
const appPort = (app.address() as any).port
const { signing, verification } = await generateTicketKeys("t")
const m = netServer({ noDelay: true }, createMachineProxy({ machine: "mach_1", keys: [verification] }).connection).listen(0, "127.0.0.1")
await once(m, "listening")
const env = JSON.parse(process.env.EXTRA ?? "{}")
let balancer = (rr as any)[lb.split("-")[0]]
if (lb === "haproxy-nocheck") balancer = { ...balancer, text: (...a: any[]) => rr.haproxy.text(...(a as Parameters<typeof rr.haproxy.text>)).replaceAll(" check", "").replace(/option httpchk.*/, "") }
if (lb === "haproxy-tcp") balancer = { ...balancer, text: (...a: any[]) => rr.haproxy.text(...(a as Parameters<typeof rr.haproxy.text>)).replace(/option httpchk.*/, "") }
const program = which === "router"
  ? { args: ["/work/wt-stops/examples/load-balancers/app/router.ts"], env: { MACHINE_PORT: String((m.address() as any).port), APP_PORT: String(appPort), SIGNING_KEY: JSON.stringify(signing), ...env } }
  : { args: ["/work/wt-stops/packages/machine-proxy/src/bin.ts", "--insecure"], env: { HOST: "127.0.0.1", INGRESS_MACHINE: "mach_1", INGRESS_LOG: "errors", ...env } }
const r = await rr.rollingRestart({ balancer, program, host: "misha.iterate.app", fields: which === "router" ? [] : [["x-iterate-proxy-target-host", `localhost:${appPort}`]], requests: Number(n) })
console.log(which, lb, r.done, "requests", r.failures.length, "failed", r.ms, "ms", r.log.join("; "))
console.log(r.failures.slice(0, 20).join("\n"))
process.exit(0)
