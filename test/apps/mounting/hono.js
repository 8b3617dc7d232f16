import { serve } from "@hono/node-server"
import { mount } from "@project-ingress/router/node"
import { Hono } from "hono"
import { router } from "./router.js"

const app = new Hono().get("/", (context) => context.text("my app"))
const server = serve({ fetch: app.fetch, port: Number(process.env.PORT) })
mount(server, router)
