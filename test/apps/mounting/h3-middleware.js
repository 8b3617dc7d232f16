import { middleware } from "@project-ingress/router/middleware"
import { H3, serve } from "h3"
import { router } from "./router.js"

const app = new H3()
app.use(middleware(router))
app.get("/", () => "my app")
serve(app, { port: Number(process.env.PORT) })
