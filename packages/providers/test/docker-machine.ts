/** What runs in a container whose proxy is the real one: it asks for tickets, and logs what its proxy and its app were asked. */
import { fileURLToPath } from "node:url"
import type { VerificationKey } from "@project-ingress/forward"
import { build } from "esbuild"
import { runMachine } from "./engine.ts"
import type { RunningMachine } from "./engine.ts"

const source = `
import { createServer } from "node:http"
import { createServer as createProxyServer } from "node:net"
import { createMachineProxy } from "./machine-proxy/src/machine-proxy.ts"
const { MACHINE, KEYS } = process.env
createServer((request, response) => {
  console.log("app " + request.url)
  response.end("from " + MACHINE)
}).listen(3000, () => {
  const onEvent = ({ status }) => status && console.log("proxy " + status)
  const proxy = createMachineProxy({ machine: MACHINE, keys: JSON.parse(KEYS), onEvent })
  createProxyServer(proxy.connection).listen(8080)
})
`

/** A program for a machine in one file. It imports from `packages`, and `./app.mjs` when it runs. */
export const bundledServer = async (contents: string): Promise<string> => {
  const bundle = await build({
    stdin: { contents, resolveDir: fileURLToPath(new URL("../..", import.meta.url)), loader: "ts" },
    bundle: true,
    write: false,
    format: "esm",
    platform: "node",
    external: ["./app.mjs"],
    // For the modules of CommonJS in it.
    banner: {
      js: `import { createRequire as requireOf } from "node:module"\nconst require = requireOf(import.meta.url)`,
    },
    conditions: ["@project-ingress/source"],
  })
  return bundle.outputFiles[0]!.text
}

export interface ProxiedMachine extends RunningMachine {
  /** What it logged since it was made: `proxy 421`, `app /path`. */
  readonly logged: () => Promise<readonly string[]>
}

/** Starts a machine that tickets name `id`. `publish`: `127.0.0.1::8080`. */
export const runProxiedMachine = async (
  id: string,
  { image, key, publish }: { readonly image: string; readonly key: VerificationKey; readonly publish: string },
): Promise<ProxiedMachine> => {
  const machine = await runMachine({
    image,
    files: { "/app/server.mjs": await bundledServer(source) },
    options: ["--publish", publish, "--env", `MACHINE=${id}`, "--env", `KEYS=${JSON.stringify([key])}`],
  })
  return { ...machine, logged: async () => (await machine.docker("logs")).split("\n").filter(Boolean) }
}
