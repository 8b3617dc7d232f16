import { createServer } from "node:http"
import { mount } from "@project-ingress/router/node"
import { H3, toNodeHandler } from "h3"
import { router } from "./router.js"

const app = new H3().get("/", () => "my app")
const server = createServer(toNodeHandler(app))
mount(server, router)
server.listen(process.env.PORT)
