import { defineConfig } from "tsup"

export default defineConfig({
  entry: ["src/docker.ts", "src/effect.ts", "src/local.ts", "src/providers.ts"],
  format: ["esm"],
  platform: "neutral",
  external: [/^node:/],
  target: "es2023",
  // `node:net`, not `net`: Deno and Workers want the prefix.
  removeNodeProtocol: false,
  dts: true,
  sourcemap: true,
  clean: true,
})
