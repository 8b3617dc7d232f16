import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    api: "src/api.ts",
    compatible: "src/compatible.ts",
    ingress: "src/ingress.ts",
    traefik: "src/traefik/traefik.ts",
    "traefik/front": "src/traefik-front/traefik-front.ts",
    "storage/d1": "src/storage/d1.ts",
    "storage/file/file-storage": "src/storage/file/file-storage.ts",
    "storage/postgres": "src/storage/postgres.ts",
    testing: "src/testing.ts",
    envoy: "src/envoy/envoy.ts",
    "envoy/front": "src/envoy/front/envoy-front.ts",
    supervision: "src/supervision/supervision.ts",
    generate: "src/generate.ts",
    "generate-command": "src/generate-command.ts",
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
