/** A router as a middleware of frameworks that speak Fetch: Hono, h3. For Express and Connect: `nodeMiddleware` of `./node`. */
import type { Router } from "./router-options.ts"
import { programOf } from "./router-program.ts"

/** What a framework calls a middleware with: h3's event, whose `req` is the request, or Hono's context, whose `req.raw` is it. */
export interface MiddlewareEvent {
  readonly req: Request | { readonly raw: Request }
  /** h3's. */
  readonly waitUntil?: (work: Promise<unknown>) => void
}

/**
 * A middleware that serves what is the router's, and leaves all else to `next`, with its body unread. Before every other one: those
 * before it see the requests and may change the responses of all projects. It serves no WebSocket but in Workers, because such a
 * framework gives none away: elsewhere a handshake gets 501 `UPGRADE_UNSUPPORTED`, and `mount` of `./node` serves it.
 *
 * @throws {TypeError} for anything but a router
 *
 * @example
 * app.use("*", middleware(router)) // Hono
 * app.use(middleware(router)) // h3
 */
export const middleware = (
  router: Router,
): (<R>(event: MiddlewareEvent, next: () => R | Promise<R>) => Promise<Response | R>) => {
  programOf(router)
  return async (event, next) => {
    const { req } = event
    const request = "raw" in req ? req.raw : req
    return (await router.fetch(request, contextOf(event))) ?? (await next())
  }
}

/** Where work goes on after a response. */
const contextOf = (event: MiddlewareEvent): Parameters<Router["fetch"]>[1] => {
  if (event.waitUntil !== undefined) return { waitUntil: (work) => event.waitUntil!(work) }
  try {
    // Hono's getter, which throws where the runtime gave it none.
    const { executionCtx } = event as { readonly executionCtx?: Parameters<Router["fetch"]>[1] }
    return executionCtx
  } catch {
    return undefined
  }
}
