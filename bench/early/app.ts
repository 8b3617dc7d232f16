// An app that refuses every upload as soon as it has the head, and closes: what body limits and guards do.
import { createServer } from "node:http"

createServer((_, response) => {
  const body = "refused".repeat(30)
  response
    .writeHead(413, { connection: "close", "content-type": "text/plain", "content-length": body.length })
    .end(body)
}).listen(Number(process.env["PORT"]), "127.0.0.1")
