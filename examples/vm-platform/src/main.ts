/** Starts the platform with two machines, and says what to try: `npx -y pnpm@12 start`. */
import { randomBytes } from "node:crypto"
import { resolve } from "node:path"
import { startMachine } from "./machine.ts"
import { startPlatform } from "./platform.ts"

const ports = { control: 8090, visitors: 8080, admin: 2020, dns: 5390 }
const folder = resolve(process.argv[2] ?? "data")
const token = process.env["API_TOKEN"] ?? randomBytes(16).toString("hex")
// On Linux every address of 127.0.0.0/8 is this computer's.
const machines = { "my-api": "127.0.0.11", "my-next": "127.0.0.12" }

for (const [name, host] of Object.entries(machines)) await startMachine(name, host, 8080)
const platform = await startPlatform({
  folder,
  ports,
  tokens: [{ token }],
  machines,
  onEvent: (event) => console.log(event.type, "document" in event ? event.document : ""),
})

console.log(`The API is at http://127.0.0.1:${ports.control}, visitors come to http://127.0.0.1:${ports.visitors}. Try:

  export API=http://127.0.0.1:${ports.control} VISIT=http://127.0.0.1:${ports.visitors} AUTH="Authorization: Bearer ${token}"
  curl -H "$AUTH" --json '{"name":"my-api-ingress","rules":[{"match":{"hostname":"api.example.com","port":80},"target":{"instance":"my-api","port":8080}}]}' $API/ingresses
  curl -H "Host: api.example.com" $VISIT
  curl -H "$AUTH" $API/v1/ingresses/my-api-ingress/status

Ctrl-C ends the control plane, and Caddy goes on: kill $(head -n 1 ${folder}/caddy/caddy.pid) ends it.`)

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  process.once(signal, () => void platform.close().then(() => process.exit()))
}
