import { defineConfig } from "tsup"

export default defineConfig({
  entry: ["src/effect.ts", "src/node.ts", "src/router.ts", "src/stores/memory.ts"],
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
