import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    ingress: "src/ingress.ts",
    caddy: "src/caddy/caddy.ts",
    "caddy/front": "src/caddy/front/front.ts",
    certificates: "src/certificates/certificates.ts",
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
