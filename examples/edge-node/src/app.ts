/** An app that names its region and its client: `pnpm run app fra 4101`. */
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"

const [region = "fra", port = "0"] = process.argv.slice(2)

const server = createServer((request, response) => {
  const { "x-forwarded-for": client } = request.headers
  response.end(`${request.method} ${request.url} in ${region}, for ${String(client)}\n`)
})
server.listen(Number(port), "127.0.0.1", () => {
  console.log(`app in ${region}: http://127.0.0.1:${(server.address() as AddressInfo).port}`)
})
