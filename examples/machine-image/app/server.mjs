// Your app: two ports, to show that each has a hostname of its own. Replace this folder, and the command in s6/app/run.
import { createServer } from "node:http"
import { setTimeout } from "node:timers/promises"

for (const port of [3000, 4096]) {
  createServer(async (request, response) => {
    // To try a stop while a request is in flight.
    if (request.url === "/slow") await setTimeout(2_000)
    response.setHeader("content-type", "application/json")
    response.end(JSON.stringify({ port, pid: process.pid, publicName: request.headers["x-forwarded-host"] }))
  }).listen(port, "127.0.0.1")
}
