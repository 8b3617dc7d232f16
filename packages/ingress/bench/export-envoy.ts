import { exportEnvoy } from "../src/envoy.ts"
import { decodeIngress } from "../src/ingress.ts"
import type { DeclaredIngress } from "../src/ingress.ts"

// pnpm exec node --conditions=@project-ingress/source packages/ingress/bench/export-envoy.ts
const count = 10_000
const certificate = { certFile: "/tls/a.pem", keyFile: "/tls/a.key" }
const ingresses: DeclaredIngress[] = []
for (let at = 0; at < count; at++) {
  // Every tenth speaks TLS, every hundredth is a pattern.
  const hostname = at % 100 === 0 ? `{name}.tenant-${at}.example.com` : `app-${at}.example.com`
  const target = { url: `http://10.0.${at >> 8}.${at & 255}:8080` }
  const settings = at % 10 === 1 ? { tls: true, redirectHttp: true } : {}
  const { name, rules } = await decodeIngress({
    name: `app-${at}`,
    rules: [{ match: { hostname }, target, ...settings }],
  })
  ingresses.push({ id: `id${at}`, name, version: 1, createdAt: at, updatedAt: at, rules })
}
const input = { ingresses, address: () => undefined }
const certificates = { "*.example.com": certificate }
for (const options of [
  { mode: "xds", folder: "/etc/envoy" },
  { mode: "static", format: "yaml" },
  { mode: "static", format: "json" },
] as const) {
  const times = Array.from({ length: 3 }, () => {
    const start = performance.now()
    exportEnvoy(input, { ...options, certificates })
    return Math.round(performance.now() - start)
  })
  console.log(`${count} ingresses, ${JSON.stringify(options)}: ${times.join(", ")} ms`)
}
