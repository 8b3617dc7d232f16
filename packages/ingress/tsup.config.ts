import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    api: "src/api.ts",
    compatible: "src/compatible.ts",
    ingress: "src/ingress.ts",
  },
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
