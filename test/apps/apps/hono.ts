import { formIsPosted, formNeedsItsOrigin } from "../checks.ts"
import { post } from "../probes.ts"
import { startServer } from "../process.ts"
import { npmVersion } from "../real-app.ts"
import type { RealApp } from "../real-app.ts"

export const hono: RealApp = {
  name: "Hono with csrf()",
  version: npmVersion("hono"),
  command: "PORT=$PORT node server.js",
  settings: {},
  fixture: "hono",
  start: startServer,
  probes: [
    { ...post("/", "application/x-www-form-urlencoded", "words=hello"), byDefault: "200", withPublicName: "403" },
  ],
  checks: [formIsPosted, formNeedsItsOrigin],
}
