import { defineConfig } from "tsup"

export default defineConfig({
  entry: ["src/hostname.ts", "src/email.ts", "src/environment.ts", "src/schema.ts"],
  format: ["esm"],
  platform: "neutral",
  target: "es2023",
  // `node:net`, not `net`: Deno and Workers want the prefix.
  removeNodeProtocol: false,
  dts: true,
  sourcemap: true,
  clean: true,
})
