import { createRequire } from "node:module"
import { pathToFileURL } from "node:url"

/** The app, next to this file. */
export const app = new URL("./app.ts", import.meta.url)

const require = createRequire(import.meta.url)

/** The machine proxy's command, from source: the demo runs without a build. */
export const proxyCommand = new URL(
  "./src/bin.ts",
  pathToFileURL(require.resolve("@project-ingress/machine-proxy/package.json")),
)
