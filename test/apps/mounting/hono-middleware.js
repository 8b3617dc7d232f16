import { serve } from "@hono/node-server"
import { middleware } from "@project-ingress/router/middleware"
import { Hono } from "hono"
import { router } from "./router.js"

const app = new Hono()
app.use("*", middleware(router))
app.get("/", (context) => context.text("my app"))
serve({ fetch: app.fetch, port: Number(process.env.PORT) })
