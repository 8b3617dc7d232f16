import type { Asked } from "./ask.ts"
import { error, ok, warning } from "./finding.ts"
import type { Finding } from "./finding.ts"
import { remedyFor } from "./remedies.ts"

/** What is understood of an error response that a proxy of ours generated. */
interface Generated {
  readonly code: string
  /** Which proxy: `ingress-router`, `ingress-machine`. */
  readonly by: string | undefined
  readonly message: string | undefined
  readonly docs: string | undefined
}

/** Statuses by which a client may succeed a moment later. */
const transient: ReadonlySet<string> = new Set(["MACHINE_STARTING", "RATE_LIMITED", "PROVIDER_RATE_LIMITED"])

/** What a response says of the route, the machine and the app. */
export const checkResponse = (asked: Asked, url: URL): Finding => {
  const { status, headers } = asked
  const resource = `route ${url.host}`
  const generated = generatedOf(asked)
  if (generated !== undefined) {
    const { code, by, message, docs } = generated
    const detail = `${status} from ${names[by ?? ""] ?? "a proxy"}${message === undefined ? "." : `: ${message}`}`
    const fix = remedyFor(code, docs)
    return transient.has(code) ? warning(code, resource, detail, fix) : error(code, resource, detail, fix)
  }
  if (status >= 520 && status <= 530 && /cloudflare/i.test(String(headers["server"] ?? ""))) {
    return error(
      "EDGE_FAILED",
      resource,
      `${status}: Cloudflare's edge cannot reach the router.`,
      "Look at the origin in Cloudflare's DNS, its TLS mode, and whether the router accepts connections of Cloudflare.",
    )
  }
  // Behind a machine without a machine proxy, the router's own response comes back to it as that of an app.
  if (status === 508)
    return error("LOOP_DETECTED", resource, "508: it leads back to itself.", remedyFor("LOOP_DETECTED"))
  if (status >= 500) {
    return warning(
      "APP_FAILED",
      resource,
      `${status}, with no code of ours: the response of the app, or of an edge before the router.`,
      "Look at the app's log; then at that of the load balancer.",
    )
  }
  const location = headers["location"]
  if (status >= 300 && status < 400 && location !== undefined) {
    return ok("REDIRECTS", resource, `${status} to ${shown(location)}.`)
  }
  return ok("APP_RESPONDS", resource, `${status}.`)
}

const names: Readonly<Record<string, string>> = {
  "ingress-router": "the router",
  "ingress-machine": "the machine proxy",
}

/** By the field of the code; under another prefix of headers by the body, if `Proxy-Status` names one of ours. */
const generatedOf = ({ headers, body }: Asked): Generated | undefined => {
  const by = /^\s*(ingress-(?:router|machine))\b/.exec(String(headers["proxy-status"] ?? ""))?.[1]
  const field = headers["x-iterate-proxy-error"]
  let read: Readonly<Record<string, unknown>> = {}
  try {
    const json: unknown = JSON.parse(body)
    if (typeof json === "object" && json !== null) read = json as typeof read
  } catch {
    // A page of its own, or of an edge.
  }
  const code = typeof field === "string" ? field : by === undefined ? undefined : read["error"]
  if (typeof code !== "string" || !/^\w{1,64}$/.test(code)) return undefined
  const { message, docs } = read
  return {
    code,
    by,
    message: typeof message === "string" ? shown(message) : undefined,
    docs: typeof docs === "string" ? shown(docs) : undefined,
  }
}

/** Text of somebody else's, for a terminal. */
export const shown = (text: string): string => text.replaceAll(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/gu, "?").slice(0, 300)
