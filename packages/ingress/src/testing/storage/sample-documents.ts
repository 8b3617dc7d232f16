import { decodeIngress } from "../../resource/decode-ingress.ts"
import type { StoredDocument } from "../../storage/ingress-storage.ts"

const AT = 1_900_000_000_123

type Of<Kind extends StoredDocument["kind"]> = Extract<StoredDocument, { readonly kind: Kind }>

/** An ingress with that id, of that document. */
export const anIngress = async (
  id: string,
  input: object = {},
  fields: Partial<Of<"ingress">> = {},
): Promise<Of<"ingress">> => ({
  kind: "ingress",
  id,
  version: 1,
  createdAt: AT,
  updatedAt: AT + 1,
  ...(await decodeIngress({
    name: "my-api",
    rules: [{ match: { hostname: "api.example.com" }, target: { machine: "mach_1", port: 8080 } }],
    ...input,
  })),
  ...fields,
})

export const aGrant = (id: string, fields: Partial<Of<"grant">> = {}): Of<"grant"> => ({
  kind: "grant",
  id,
  owner: "org_1",
  to: "org_2",
  target: { project: "misha" },
  createdAt: AT,
  ...fields,
})

export const aRecord = (id: string, content = "10.0.0.5", fields: Partial<Of<"record">> = {}): Of<"record"> => ({
  kind: "record",
  id,
  type: "A",
  content,
  createdAt: AT,
  updatedAt: AT,
  ...fields,
})

/** Rules with everything that the format has. */
export const everyRule: readonly object[] = [
  {
    match: {
      hostname: "{machine}.dev.example.com",
      port: 8443,
      path: { exact: "/api/v1" },
      method: "POST",
      headers: { "x-canary": 'a"b\\c' },
    },
    targets: [
      { capture: "machine", port: 1, weight: 3 },
      { machine: "ünïque 'name'".replace(" ", "_"), port: 65_535, protocol: "h2c" },
      { project: "misha", weight: 0 },
      { url: "https://[2001:db8::1]:8443" },
    ],
    tls: true,
    redirectHttp: true,
    allowCidrs: ["10.0.0.0/8", "2001:db8::/32"],
    requireHeader: { name: "x-secret", value: "0123456789abcdefghijklmnopqrstuvwxyz" },
    responseHeaders: { set: { "x-frame-options": "DENY" }, remove: ["server"] },
    healthCheck: { path: "/health", intervalMs: 5_000, statuses: [200, 204] },
  },
  { match: { hostname: "*.example.org", path: "/a" }, target: { project: "misha", port: 80, protocol: "https" } },
  { match: { hostname: "a.example.org" }, target: { url: "http://10.0.0.5:8080" } },
  {
    match: { hostname: "b.example.org" },
    target: { machine: "m", port: 1 },
    requireHeader: { name: "x-secret", sha256: "0".repeat(64) },
  },
  { match: { protocol: "udp", port: 53 }, target: { url: "udp://ns.example.com:53" } },
  { match: { protocol: "tcp", port: 5432 }, target: { machine: "mach_1", port: 5432 }, proxyProtocol: 2 },
  {
    match: { protocol: "tcp", hostname: "db.example.com", port: 1 },
    target: { url: "tcp://10.0.0.1:1" },
    passthrough: true,
  },
]
