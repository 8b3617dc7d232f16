// The app behind every peer's WebSockets: says back what it hears.
import { WebSocketServer } from "ws"

const server = new WebSocketServer({
  host: "127.0.0.1",
  port: Number(process.env["PORT"]),
  backlog: 4_096,
  perMessageDeflate: false,
})
server.on("connection", (socket) => {
  socket.on("message", (data, binary) => socket.send(data, { binary }))
  socket.on("error", () => socket.terminate())
})
