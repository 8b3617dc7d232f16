import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    adapter: "src/adapter.ts",
    "cloudflare-container": "src/adapters/cloudflare/container.ts",
    "cloudflare-sandbox": "src/adapters/cloudflare/sandbox.ts",
    "cloudflare-tunnel": "src/adapters/cloudflare/tunnel.ts",
    daytona: "src/adapters/daytona/daytona.ts",
    docker: "src/adapters/docker/docker.ts",
    e2b: "src/adapters/e2b/e2b.ts",
    effect: "src/effect.ts",
    fly: "src/adapters/fly/fly.ts",
    internal: "src/internal.ts",
    local: "src/adapters/local.ts",
    providers: "src/providers.ts",
    relay: "src/adapters/relay/relay.ts",
    "relay-object": "src/adapters/relay/relay-object.ts",
    sprites: "src/adapters/fly/sprites.ts",
    testing: "src/testing.ts",
    upstream: "src/adapters/upstream.ts",
    url: "src/adapters/url.ts",
    "vercel-sandbox": "src/adapters/vercel-sandbox/vercel-sandbox.ts",
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
