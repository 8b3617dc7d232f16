import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    ingress: "src/ingress.ts",
    envoy: "src/envoy/envoy.ts",
    "envoy/front": "src/envoy/front/envoy-front.ts",
    supervision: "src/supervision/supervision.ts",
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
