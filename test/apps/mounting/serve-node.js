import { serveNode } from "@project-ingress/router/node"
import { WebSocketServer } from "ws"
import { router } from "./router.js"

const webSockets = new WebSocketServer({ noServer: true })
webSockets.on("connection", (socket) => socket.send("my app"))
const host = serveNode(router, {
  fallback: () => new Response("my app"),
  fallbackUpgrade: (request, socket, head) =>
    webSockets.handleUpgrade(request, socket, head, (each) => webSockets.emit("connection", each, request)),
})
await host.listen({ port: Number(process.env.PORT) })
