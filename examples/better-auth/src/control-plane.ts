import type { Access } from "@project-ingress/router/access"
import { signInHandler } from "@project-ingress/router/access"
import type { RouteStore } from "@project-ingress/router"
import type { Grammar } from "@project-ingress/hostname"
import { betterAuth } from "better-auth"
import { memoryAdapter } from "better-auth/adapters/memory"
import { loginPage } from "./login-page.ts"

/** What {@link controlPlane} takes. */
export interface ControlPlaneOptions {
  readonly access: Access
  readonly grammar: Grammar
  readonly store: RouteStore
  /** The control plane's own origin: `http://localhost:8787`. */
  readonly origin: string
  /** What better-auth signs its cookies by, 32 characters or more. */
  readonly secret: string
}

/** A control plane whose people sign in by better-auth, by e-mail and password; its users are in memory. */
export const controlPlane = ({ access, grammar, store, origin, secret }: ControlPlaneOptions) => {
  const auth = betterAuth({
    baseURL: origin,
    secret,
    database: memoryAdapter({ user: [], session: [], account: [], verification: [] }),
    emailAndPassword: { enabled: true },
    telemetry: { enabled: false },
  })

  // The whole bridge: who is signed in here, as better-auth says.
  const bridge = signInHandler(access, {
    grammar,
    store,
    getUser: async ({ headers }) => (await auth.api.getSession({ headers }))?.user,
    loginUrl: "/login",
    // These two are for localhost; a platform has neither.
    scheme: "http",
    publicPorts: [Number(new URL(origin).port)],
    onError: (cause) => console.error(cause),
  })

  const fetch = async (request: Request): Promise<Response> => {
    const bridged = await bridge(request)
    if (bridged !== undefined) return bridged
    const { pathname } = new URL(request.url)
    if (pathname.startsWith("/api/auth/")) return auth.handler(request)
    return pathname === "/login" ? loginPage() : new Response("Not found", { status: 404 })
  }
  return { auth, fetch }
}
