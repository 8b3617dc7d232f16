import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    generate: "src/generate.ts",
    "generate-command": "src/generate-command.ts",
    ingress: "src/ingress.ts",
    "project-files": "src/project-files.ts",
    services: "src/services.ts",
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
