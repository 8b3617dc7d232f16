/** A Worker in front of the router's: files of the platform on its own host, and everything else to the router, WebSockets too. */
interface Env {
  readonly DOMAIN: string
  readonly ROUTER: Binding
  readonly ASSETS: Binding
}

interface Binding {
  fetch(request: Request): Promise<Response>
}

export default {
  fetch(request: Request, env: Env): Promise<Response> {
    const { hostname, pathname } = new URL(request.url)
    const isOwn = hostname === env.DOMAIN && !pathname.startsWith("/api/")
    // The request itself: a copy of it would lose its WebSocket, or the host that was asked for.
    return isOwn ? env.ASSETS.fetch(request) : env.ROUTER.fetch(request)
  },
}
