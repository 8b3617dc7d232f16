import type { IncomingMessage, ServerResponse } from "node:http"
import { accept, checkOptions, nextRequestId } from "@project-ingress/forward/internal"
import { headerValue } from "@project-ingress/forward"
import { routerErrors } from "../../error-rows.ts"
import type { Router } from "../../router-options.ts"
import { engineOptionChecks, routerEngine } from "../router-engine.ts"
import type { Mounted, MountOptions } from "./mount.ts"
import { ownerOf } from "./owner.ts"
import { refuse, serveMessage } from "./serve-message.ts"

/** A router as a middleware of Express or Connect. */
export interface NodeMiddleware extends Pick<Mounted, "drain"> {
  (request: IncomingMessage, response: ServerResponse, next: (cause?: unknown) => void): void
}

/**
 * A middleware that serves what is the router's, and leaves all else to `next`, with its body unread. Before every other one: those
 * before it see the requests of all projects, and one that reads bodies leaves none to send on. No `Request` is made on the way: it
 * streams as `mount` does, with the same options. A middleware sees no WebSocket of a server with an `upgrade` listener, and can
 * accept none: it responds 501 `UPGRADE_UNSUPPORTED`. With `mount` they work, so that is what an app with a server of its own uses.
 *
 * @throws {TypeError} for anything but a router, and for an option that is unknown or invalid
 *
 * @example
 * app.use(nodeMiddleware(router))
 */
export const nodeMiddleware = (router: Router, options: MountOptions = {}): NodeMiddleware => {
  checkOptions("nodeMiddleware", options, engineOptionChecks)
  const host = routerEngine(router, options, { owner: "nodeMiddleware" })
  const isOurs = ownerOf(host)
  const serve = (request: IncomingMessage, response: ServerResponse, next: (cause?: unknown) => void): void => {
    // Those of earlier middlewares are the app's own, as `X-Powered-By`.
    for (const name of response.getHeaderNames()) response.removeHeader(name)
    if (headerValue(request.rawHeaders, "upgrade")?.toLowerCase() === "websocket" && request.method === "GET") {
      const asked = { method: "GET", host: "", headers: request.rawHeaders, requestId: nextRequestId() }
      refuse(response, host.program.errors.forRow("UpgradeUnsupported", routerErrors.UpgradeUnsupported, asked))
    } else if (request.readableDidRead || response.headersSent)
      next(new TypeError("nodeMiddleware must come before what reads requests: this one's body is read already"))
    else serveMessage(host, request, response)
  }
  return Object.assign(
    (request: IncomingMessage, response: ServerResponse, next: (cause?: unknown) => void): void => {
      const ours = isOurs(request)
      if (typeof ours === "boolean") {
        if (ours) serve(request, response, next)
        else next()
        return
      }
      void ours.then((known) =>
        queueMicrotask(() => {
          if (known) serve(request, response, next)
          else next()
        }),
      )
    },
    {
      drain: async (given: Parameters<Mounted["drain"]>[0] = {}) => {
        checkOptions("drain", given, { deadlineMs: accept.number(0), graceMs: accept.number(0) })
        await host.engine.drain({ graceMs: 0, deadlineMs: 10_000, ...given })
      },
    },
  )
}
