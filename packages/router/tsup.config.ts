import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    effect: "src/effect.ts",
    node: "src/hosts/node.ts",
    "replace-machine": "src/replace-machine.ts",
    router: "src/router.ts",
    routes: "src/routes-command.ts",
    "stores/d1": "src/stores/d1.ts",
    "stores/memory": "src/stores/memory.ts",
    "stores/packed": "src/stores/packed.ts",
    "stores/postgres": "src/stores/postgres.ts",
    testing: "src/testing.ts",
    "stores/postgres-feed": "src/stores/postgres-feed.ts",
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
