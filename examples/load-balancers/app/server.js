// An Express app with sessions as its guide says, for a server behind one proxy: here the machine's own.
import { createServer } from "node:http"
import express from "express"
import session from "express-session"
import { WebSocketServer } from "ws"

const app = express()
app.set("trust proxy", "loopback")
app.use(session({ secret: "of the example", resave: false, saveUninitialized: false, cookie: { secure: true } }))
app.get("/", ({ protocol, secure, ip, ips }, response) => response.json({ protocol, secure, ip, ips }))
app.post("/login", (request, response) => {
  request.session.user = "misha"
  response.redirect(`${request.protocol}://${request.get("host")}/me`)
})
app.get("/me", (request, response) => response.send(request.session.user ?? "nobody"))

const server = createServer(app)
const sockets = new WebSocketServer({ server })
sockets.on("connection", (socket, { headers }) => {
  socket.on("error", console.error)
  socket.send([headers["x-forwarded-proto"], headers["x-forwarded-for"]].join(" "))
})
server.listen(Number(process.env.PORT ?? 3000), "127.0.0.1", () => console.log(server.address().port))
