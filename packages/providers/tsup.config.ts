import { defineConfig } from "tsup"

export default defineConfig({
  entry: [
    "src/adapter.ts",
    "src/cloudflare-container.ts",
    "src/cloudflare-tunnel.ts",
    "src/daytona.ts",
    "src/docker.ts",
    "src/effect.ts",
    "src/fly.ts",
    "src/local.ts",
    "src/providers.ts",
    "src/testing.ts",
    "src/url.ts",
  ],
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
