// Your app: two ports, to show that each has a hostname of its own. Replace this folder, and the command in s6/app/run.
import { createServer } from "node:http"

for (const port of [3000, 4096]) {
  createServer((request, response) => {
    const respond = () => {
      const publicOrigin = request.headers["x-iterate-proxy-public-origin"]
      response.setHeader("content-type", "application/json")
      response.end(JSON.stringify({ port, pid: process.pid, publicOrigin }))
    }
    // To try a stop while a request is in flight.
    if (request.url === "/slow") setTimeout(respond, 2_000)
    else respond()
  }).listen(port, "127.0.0.1")
}
