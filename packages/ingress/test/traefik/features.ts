import type { Ingress } from "@project-ingress/ingress"
import type { TraefikOptions } from "@project-ingress/ingress/traefik"
import { acme } from "./declared.ts"

const web = (rule: Partial<Ingress["rules"][number]>): Ingress => ({
  name: "web",
  rules: [{ match: { hostname: "www.example.com" }, target: { url: "http://10.0.0.5:8080" }, ...rule }],
})

/** One golden folder each. */
export const features: Readonly<
  Record<string, { readonly ingresses: readonly Ingress[]; readonly options?: TraefikOptions }>
> = {
  "plain-http": { ingresses: [web({})] },
  "tls-and-redirect": {
    ingresses: [web({ tls: true, redirectHttp: true })],
    options: { acme: { ...acme, challenge: "http" } },
  },
  "other-port": {
    ingresses: [web({ match: { hostname: "www.example.com", port: 8443 }, tls: true, redirectHttp: true })],
  },
  matches: {
    ingresses: [
      web({ match: { hostname: "www.example.com", path: "/api", method: "POST", headers: { "x-canary": "yes" } } }),
      {
        name: "exact",
        rules: [{ match: { hostname: "www.example.com", path: { exact: "/" } }, target: { machine: "m", port: 80 } }],
      },
    ],
  },
  wildcards: {
    ingresses: [
      web({ match: { hostname: "*.example.com" }, tls: true }),
      { name: "two", rules: [{ match: { hostname: "a.*.example.com" }, target: { machine: "m", port: 80 } }] },
    ],
    options: { acme },
  },
  "wildcards-3.7": {
    ingresses: [web({ match: { hostname: "*.example.com" }, tls: true })],
    options: { acme, version: "3.7" },
  },
  certificates: {
    ingresses: [web({ tls: true })],
    options: { acme: { ...acme, certificates: [{ main: "example.com", sans: ["*.example.com", "example.net"] }] } },
  },
  weights: {
    ingresses: [
      {
        name: "web",
        rules: [
          {
            match: { hostname: "www.example.com" },
            targets: [
              { machine: "a", port: 80, weight: 9 },
              { machine: "b", port: 81, weight: 1 },
              { machine: "c", port: 82, weight: 0 },
            ],
            healthCheck: { path: "/health", intervalMs: 2_000, statuses: [204] },
          },
        ],
      },
    ],
  },
  access: {
    ingresses: [
      web({
        allowCidrs: ["10.0.0.0/8", "2001:db8::/32"],
        requireHeader: { name: "x-key", value: "0123456789abcdef0123456789abcdef" },
        responseHeaders: { set: { "x-frame-options": "DENY" }, remove: ["server"] },
      }),
    ],
    options: { trustedIps: { forwardedHeaders: ["192.0.2.1/32"], proxyProtocol: ["192.0.2.2/32"] } },
  },
  "https-target": {
    ingresses: [
      web({ target: { url: "https://app.internal" } }),
      { name: "h2c", rules: [{ match: { hostname: "h2c.example.com" }, target: { url: "h2c://[2001:db8::5]:90" } }] },
    ],
    options: { upstreamTls: { serverName: "app.internal", rootCas: ["/etc/ssl/ca.pem"] } },
  },
  streams: {
    ingresses: [
      {
        name: "db",
        rules: [
          {
            match: { protocol: "tcp", hostname: "pg.example.com", port: 5432 },
            target: { url: "tcp://10.0.0.5:5432" },
            tls: true,
          },
          { match: { protocol: "tcp", port: 6379 }, target: { machine: "m", port: 6379 }, allowCidrs: ["10.0.0.0/8"] },
          {
            match: { protocol: "tcp", hostname: "*.mqtt.example.com" },
            target: { machine: "m", port: 8883 },
            passthrough: true,
            proxyProtocol: 2,
          },
          {
            match: { protocol: "udp", port: 51820 },
            targets: [
              { machine: "a", port: 51820, weight: 1 },
              { machine: "b", port: 51820, weight: 3 },
            ],
          },
        ],
      },
    ],
    options: { acme },
  },
  "owned-hostnames": {
    ingresses: [
      {
        name: "api",
        rules: [
          {
            match: { hostname: "x.example.com", path: "/api" },
            target: { url: "http://10.0.0.5:8080" },
            tls: true,
            redirectHttp: true,
          },
        ],
      },
      {
        name: "wide",
        rules: [
          { match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.6:8080" }, tls: true },
          { match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.6:8080" } },
        ],
      },
    ],
    options: { acme },
  },
  stack: {
    ingresses: [
      web({ tls: true }),
      { name: "dns", rules: [{ match: { protocol: "udp", port: 53 }, target: { url: "udp://10.0.0.5:53" } }] },
    ],
    options: {
      acme,
      listen: { 80: ":8080", 443: ":8443" },
      docker: { endpoint: "tcp://127.0.0.1:2375", network: "proxynet" },
      api: "127.0.0.1:8081",
      documents: { middlewares: { http: { middlewares: { crowdsec: { plugin: { bouncer: { enabled: true } } } } } } },
      overrides: {
        static: {
          entryPoints: { "web-secure": { http: { middlewares: ["crowdsec@file"] } } },
          experimental: { plugins: { bouncer: { moduleName: "github.com/example/bouncer", version: "v1.0.0" } } },
        },
        compose: { services: { traefik: { environment: { CF_DNS_API_TOKEN: "${CF_DNS_API_TOKEN:?}" } } } },
      },
      compose: {
        network: "host",
        services: {
          dockerproxy: {
            image: "tecnativa/docker-socket-proxy:1",
            ports: ["127.0.0.1:2375:2375"],
            healthcheck: { test: ["CMD", "./healthcheck"] },
          },
        },
      },
    },
  },
}
