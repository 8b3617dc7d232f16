import { defineConfig } from "tsup"

export default defineConfig({
  entry: [
    "src/forward.ts",
    "src/http1.ts",
    "src/sockets.ts",
    "src/internal.ts",
    "src/fetch/{node,bun,deno,workers}.ts",
  ],
  format: ["esm"],
  platform: "node",
  target: "es2023",
  // `node:net`, not `net`: Deno and Workers want the prefix.
  removeNodeProtocol: false,
  dts: true,
  sourcemap: true,
  clean: true,
})
