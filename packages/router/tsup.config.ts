import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    edge: "src/edge-command.ts",
    effect: "src/effect.ts",
    node: "src/hosts/node.ts",
    "replace-machine": "src/replace-machine.ts",
    router: "src/router.ts",
    routes: "src/routes-command.ts",
    "stores/cache-api": "src/stores/cache-api.ts",
    "stores/cloudflare-kv": "src/stores/cloudflare-kv.ts",
    "stores/d1": "src/stores/d1.ts",
    "stores/file-state": "src/stores/file-state.ts",
    "stores/layered": "src/stores/layered.ts",
    "stores/memory": "src/stores/memory.ts",
    "stores/paged": "src/stores/paged.ts",
    "stores/packed": "src/stores/packed.ts",
    "stores/polled-sql": "src/stores/polled-sql.ts",
    "stores/postgres": "src/stores/postgres.ts",
    "stores/postgres-feed": "src/stores/postgres-feed.ts",
    "stores/redis": "src/stores/redis.ts",
    "stores/table": "src/stores/table.ts",
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
