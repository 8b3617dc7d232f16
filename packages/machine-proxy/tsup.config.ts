import { defineConfig } from "tsup"

export default defineConfig({
  entry: ["src/bin.ts", "src/machine-proxy.ts", "src/effect.ts", "src/relay.ts"],
  format: ["esm"],
  platform: "node",
  target: "es2023",
  // `node:net`, not `net`: Deno and Workers want the prefix.
  removeNodeProtocol: false,
  dts: true,
  sourcemap: true,
  clean: true,
})
