import { writeFileSync } from "node:fs"
import { createRequire } from "node:module"
import { build } from "esbuild"
import type { Command } from "../peer.ts"

// workerd is miniflare's, and so is its version.
const own = createRequire(import.meta.url)
const { default: workerd } = createRequire(own.resolve("miniflare"))("workerd") as { readonly default: string }

/** Bundles a Worker as `wrangler deploy` does, minified, into a folder. Returns the file. */
export const bundle = async (name: string, directory: string): Promise<string> => {
  const file = `${directory}/${name}.js`
  await build({
    entryPoints: [new URL(`${name}.ts`, import.meta.url).pathname],
    outfile: file,
    bundle: true,
    minify: true,
    format: "esm",
    platform: "browser",
    target: "es2023",
    conditions: ["@project-ingress/source", "workerd", "worker", "browser"],
    logLevel: "silent",
  })
  return file
}

/** workerd with one Worker and nothing between it and its socket: no miniflare, no inspector. */
export const serve = (file: string, port: number, bindings: Readonly<Record<string, string>>): Command => {
  const config = `${file}.${port}.capnp`
  const bound = Object.entries(bindings).map(([name, text]) => `(name = "${name}", text = ${JSON.stringify(text)})`)
  writeFileSync(
    config,
    `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .worker),
    (name = "internet", network = (allow = ["public", "private"])),
  ],
  sockets = [(name = "http", address = "127.0.0.1:${port}", http = (), service = "main")],
);
const worker :Workerd.Worker = (
  modules = [(name = "worker", esModule = embed "${file.slice(file.lastIndexOf("/") + 1)}")],
  compatibilityDate = "2026-11-01",
  compatibilityFlags = ["enable_request_signal"],
  bindings = [${bound.join(", ")}],
);
`,
  )
  return { file: workerd, args: ["serve", config] }
}
