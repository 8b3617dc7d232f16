import { mount } from "@project-ingress/router/node"
import Fastify from "fastify"
import { router } from "./router.js"

const app = Fastify()
app.get("/", async () => "my app")
mount(app.server, router)
await app.listen({ port: Number(process.env.PORT), host: "0.0.0.0" })
