import { createServer } from "node:http"
import { mount } from "@project-ingress/router/node"
import { router } from "./router.js"

const server = createServer((request, response) => response.end("my app"))
mount(server, router)
server.listen(process.env.PORT)
