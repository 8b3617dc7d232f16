import { readPattern } from "../resource/hostname-pattern.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import { httpRouters } from "../traefik/http-routers.ts"
import type { TraefikOptions } from "../traefik/options.ts"

/** Traefik's own page: under which hostname, and who may see it. */
export interface Dashboard {
  /** Its routers, with the password's hash: `documents`. */
  readonly document: unknown
  /** What it takes: for hostnames that own their requests. */
  readonly ingress: DeclaredIngress
}

/** What `htpasswd` writes with bcrypt, MD5 or SHA-1, which is all that Traefik reads. */
const HTPASSWD = /^[\w.@-]{1,64}:(?:\$(?:apr1|2[abxy])\$[\w./$]{20,128}|\{SHA\}[\w+/]{27}=)$/

/**
 * The router of the dashboard, with a password, TLS and a redirect to it.
 *
 * @param admin `name:hash`
 * @throws {TypeError} without the value, which is a secret
 */
export const traefikDashboard = (hostname: string, admin: string, options: TraefikOptions): Dashboard => {
  const pattern = readPattern(hostname)
  if ("accepted" in pattern || pattern.text.includes("*") || pattern.captures.length > 0) {
    throw new TypeError("dashboard: traefikDomain must be a hostname")
  }
  if (!HTPASSWD.test(admin)) {
    throw new TypeError("dashboard: TRAEFIK_ADMIN must be name:hash, as htpasswd -nB name prints it")
  }
  const rule = { match: { protocol: "http" as const, hostname: pattern }, tls: true, redirectHttp: true }
  // No ingress has a name that begins with _.
  const name = "_dashboard"
  const names = { name, service: "api@internal", rank: 0, redirectName: `${name}_redirect`, redirectRank: 0 }
  const { routers, middlewares } = httpRouters(rule, names, options)
  return {
    document: {
      http: {
        routers: { ...routers, [name]: { ...routers[name], middlewares: [`${name}_password`] } },
        middlewares: { ...middlewares, [`${name}_password`]: { basicAuth: { users: [admin] } } },
      },
    },
    ingress: {
      id: "dashboard",
      name: "dashboard",
      version: 1,
      createdAt: 0,
      updatedAt: 0,
      rules: [{ ...rule, targets: [] }],
    },
  }
}
