import { AccessDenied } from "../policies/access-denied.ts"
import type { Policy } from "../policies/policy.ts"
import { frameAncestors, isCrossSite } from "./framing.ts"

/**
 * Carries out `embed`, the origins that may frame a port: says so by `Content-Security-Policy: frame-ancestors` in responses of ports that have the setting,
 * and in no others. The app's own policies stay, and browsers obey them, too.
 *
 * Cookies of ours are sent in those frames, and with everything else that pages there ask for. So on a private port a request from another
 * site that is no navigation is denied (403) where a cookie alone says who the visitor is: pages of `embed` may show the port, not read it
 * or act in it. Mount it after sessions, tokens and links.
 */
export const embedding = (): Policy => ({
  name: "embedding",
  explainable: true,
  enforces: ["embed"],
  onRoute: (request, route) => {
    const { visitor } = request
    const { embed, visibility } = route.settings
    if (embed === undefined || visibility === "public" || visitor === undefined || visitor.ambient === false)
      return undefined
    return isCrossSite(request)
      ? { deny: new AccessDenied({ reason: "a request from another site, by a cookie" }) }
      : undefined
  },
  onResponse: ({ status }, edit, route) => {
    const ancestors = frameAncestors(route)
    if (ancestors !== undefined && status >= 200) edit.append("Content-Security-Policy", ancestors)
  },
})
