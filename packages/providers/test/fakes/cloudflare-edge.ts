/**
 * Cloudflare's edge before named tunnels: Access, which lets a service token in and sends everybody else to a login, then the
 * `cloudflared` of the hostname. Each hostname is an address of its own, because it is a name that a test's machine does not
 * resolve. It answers as Cloudflare documents and others recorded; it caches and recodes nothing, whatever the real one may do.
 */
import { randomBytes } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { FakeServer, Onward, Said } from "./http.ts"

export interface CloudflareEdgeOptions {
  /** The service token that Access lets in. Absent: the hostnames are open to everybody. */
  readonly access?: { readonly clientId: string; readonly clientSecret: string }
}

export interface TunnelHostname {
  /** Where the edge answers for it: `https://<hostname>`. */
  readonly origin: string
  /** The port that its `cloudflared` sends on to. `undefined`: none is connected. */
  service: number | undefined
}

export interface CloudflareEdge {
  readonly hostname: (name: string) => Promise<TunnelHostname>
  /** What came to the login page, which answers 200. */
  readonly logins: string[]
  /** What was sent on, with what the edge added and took away. */
  readonly forwarded: { readonly hostname: string; readonly headers: IncomingMessage["headers"] }[]
  /** Access knows the service token no more. */
  revoked: boolean
  /** Instead of what it would do, the edge answers every request with this. */
  always: Said | undefined
  readonly close: () => Promise<void>
}

export const cloudflareEdge = async ({ access }: CloudflareEdgeOptions = {}): Promise<CloudflareEdge> => {
  const logins: string[] = []
  const forwarded: { hostname: string; headers: IncomingMessage["headers"] }[] = []
  const login = await listen((request, response) => {
    logins.push(request.url!)
    answer(response, 200, "<title>Sign in</title>", { "content-type": "text/html" })
  })
  const servers: FakeServer[] = [login]

  const admitted = ({ headers }: IncomingMessage): boolean =>
    access === undefined ||
    (!edge.revoked &&
      headers["cf-access-client-id"] === access.clientId &&
      headers["cf-access-client-secret"] === access.clientSecret)

  /** What the edge says itself, or how it sends the request on. */
  const decide = (name: string, made: TunnelHostname, request: IncomingMessage): Said | Onward => {
    // A ray's last letters are the place where the edge is.
    const ray = `${randomBytes(8).toString("hex")}-AMS`
    const own = { server: "cloudflare", "cf-ray": ray }
    const failure = (status: number, code = status): Said => ({
      status,
      headers: { ...own, "content-type": "text/plain; charset=UTF-8" },
      body: `error code: ${code}`,
    })
    if (edge.always !== undefined) return { ...edge.always, headers: { ...own, ...edge.always.headers } }
    if (!admitted(request)) {
      const back = encodeURIComponent(request.url!)
      // At `https://<team>.cloudflareaccess.com`.
      const location = `${login.origin}/cdn-cgi/access/login/${name}?kid=0&redirect_url=${back}`
      return { status: 302, headers: { ...own, location, "set-cookie": "CF_AppSession=n0; Path=/; Secure; HttpOnly" } }
    }
    // Error 1033 is shown with status 530.
    if (made.service === undefined) return failure(530, 1033)

    const { "cf-access-client-id": _, "cf-access-client-secret": __, ...kept } = request.headers
    const before = kept["x-forwarded-for"]
    const headers = {
      ...kept,
      host: name,
      "cdn-loop": "cloudflare; loops=1",
      "cf-connecting-ip": "203.0.113.7",
      "cf-ray": ray,
      "cf-visitor": `{"scheme":"https"}`,
      "x-forwarded-for": before === undefined ? "203.0.113.7" : `${String(before)}, 203.0.113.7`,
      "x-forwarded-proto": "https",
    }
    forwarded.push({ hostname: name, headers })
    const cookie = { "set-cookie": `CF_Authorization=${randomBytes(16).toString("hex")}; Path=/; Secure; HttpOnly` }
    return {
      port: made.service,
      headers,
      // Access answers a service token with a session of its own, for who would rather send that next time.
      adds: { ...own, "cf-cache-status": "DYNAMIC", ...(access === undefined ? {} : cookie) },
      unreached: () => failure(502),
    }
  }

  const edge: CloudflareEdge = {
    async hostname(name) {
      const server = await listen(
        (request, response) => {
          const what = decide(name, made, request)
          if ("status" in what) answer(response, what.status, what.body, what.headers)
          else sendOn(request, response, what)
        },
        (request, socket, head) => {
          const what = decide(name, made, request)
          if ("status" in what) refuse(socket, what)
          else upgradeOn(request, socket, head, what)
        },
      )
      servers.push(server)
      const made: TunnelHostname = { origin: server.origin, service: undefined }
      return made
    },
    logins,
    forwarded,
    revoked: false,
    always: undefined,
    close: async () => void (await Promise.all(servers.map((server) => server.close()))),
  }
  return edge
}
