import { defineConfig } from "tsup"

export default defineConfig({
  // All of them in one folder: types of entries of several folders are built one folder at a time, which takes minutes.
  entry: [
    "src/api.ts",
    "src/caddy-front.ts",
    "src/caddy.ts",
    "src/certificates.ts",
    "src/compatible.ts",
    "src/d1-storage.ts",
    "src/dns.ts",
    "src/envoy-front.ts",
    "src/envoy.ts",
    "src/expose.ts",
    "src/file-storage.ts",
    "src/generate-command.ts",
    "src/generate.ts",
    "src/ingress.ts",
    "src/internal-dns.ts",
    "src/postgres-storage.ts",
    "src/project-files.ts",
    "src/services.ts",
    "src/supervision.ts",
    "src/testing.ts",
    "src/traefik-front.ts",
    "src/traefik.ts",
    "src/zone-file.ts",
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
