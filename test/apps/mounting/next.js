import { createServer } from "node:http"
import { mount } from "@project-ingress/router/node"
import next from "next"
import { router } from "./router.js"

const app = next({ dev: process.env.NODE_ENV !== "production", dir: process.env.APP_FOLDER })
await app.prepare()
const server = createServer(app.getRequestHandler()).on("upgrade", app.getUpgradeHandler())
mount(server, router)
server.listen(process.env.PORT)
