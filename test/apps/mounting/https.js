import { readFileSync } from "node:fs"
import { createServer } from "node:https"
import { mount } from "@project-ingress/router/node"
import { router } from "./router.js"

const tls = { cert: readFileSync(process.env.TLS_CERT), key: readFileSync(process.env.TLS_KEY) }
const server = createServer(tls, (request, response) => response.end("my app"))
mount(server, router)
server.listen(process.env.PORT)
