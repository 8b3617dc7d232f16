import { nodeMiddleware } from "@project-ingress/router/node"
import express from "express"
import { router } from "./router.js"

const app = express()
app.use(nodeMiddleware(router))
app.get("/", (request, response) => response.send("my app"))
app.listen(process.env.PORT)
