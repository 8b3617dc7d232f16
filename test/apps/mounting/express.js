import { createServer } from "node:http"
import { mount } from "@project-ingress/router/node"
import express from "express"
import { router } from "./router.js"

const app = express().get("/", (request, response) => response.send("my app"))
const server = createServer(app)
mount(server, router)
server.listen(process.env.PORT)
