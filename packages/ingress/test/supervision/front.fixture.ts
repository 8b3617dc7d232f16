import { appendFileSync } from "node:fs"
import { createServer } from "node:http"

// A front as far as supervision sees one. Its arguments say how it misbehaves.
const [port = "0", ...habits] = process.argv.slice(2)
const has = (habit: string): boolean => habits.includes(habit)

if (has("ends")) process.exit(3)
if (has("ignores-term")) process.on("SIGTERM", () => console.log("SIGTERM is ignored"))
const server = createServer((request, response) => {
  if (request.method === "POST" && request.url === "/quitquitquit") {
    response.end("OK\n")
    if (!has("ignores-admin")) setTimeout(() => process.exit(0), 20)
    return
  }
  const isReady = request.url === "/ready" && !has("never-ready")
  response.writeHead(isReady ? 200 : 503).end(String(process.pid))
})
if (!has("silent")) server.listen(Number(port), "127.0.0.1", () => console.log("listening"))
else setInterval(() => undefined, 1_000)
const log = habits.find((habit) => habit.startsWith("log="))
if (log !== undefined) appendFileSync(log.slice(4), `${process.pid}\n`)
