import { defineConfig } from "tsup"

export default defineConfig({
  entry: {
    ingress: "src/ingress.ts",
    dns: "src/dns/dns.ts",
    "dns/responder": "src/dns/responder/internal-dns.ts",
    "dns/zone-file": "src/dns/zone-file/zone-file.ts",
    expose: "src/expose/expose.ts",
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
