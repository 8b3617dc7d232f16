// No HTTP at all: what moving the octets costs in Node. It cannot read a target, so each origin has a port of its own.
import { connect, createServer } from "node:net"
import { place } from "./job.ts"

const pipe = (from: number, to: number): void => {
  const server = createServer({ noDelay: true }, (client) => {
    const origin = connect({ host: "127.0.0.1", port: to, noDelay: true })
    client.pipe(origin).pipe(client)
    client.on("error", () => origin.destroy())
    origin.on("error", () => client.destroy())
  })
  server.listen(from, "127.0.0.1", 4_096)
}
pipe(place.port, place.origin)
pipe(place.webSocketPort, place.webSocketOrigin)
