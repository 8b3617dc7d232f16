import { accept, checkOptions } from "@project-ingress/router/internal"
import * as OpenApi from "effect/http-api/OpenApi"
import type { Ingresses } from "../control/ingresses.ts"
import { authenticateByTokens, callerOf } from "./authenticate.ts"
import type { ApiToken, Authenticate } from "./authenticate.ts"
import { docsPage } from "./docs-page.ts"
import { errorResponse } from "./error-response.ts"
import { handlersOf } from "./handlers.ts"
import type { Call, Handlers, Reply } from "./handlers.ts"
import { HypemanApi, IngressApi } from "./ingress-api.ts"
import { methodNotAllowed, operationsOf } from "./operations.ts"
import { readDocument } from "./read-document.ts"
import { RequestProblem } from "./request-problem.ts"
import { ifVersionOf } from "./version.ts"

/** What {@link ingressApi} takes: `tokens`, or `authenticate`. */
export interface IngressApiOptions {
  readonly ingresses: Ingresses
  /** The tokens that are accepted; each 16 to 4 096 characters of those that RFC 6750 allows. */
  readonly tokens?: readonly ApiToken[]
  readonly authenticate?: Authenticate
  /** `hypeman`: the form, the list and the texts of that ingress manager. Default: this project's own. */
  readonly mode?: "hypeman"
  /** What stands before every path: `/v1`. Default nothing. */
  readonly basePath?: string
  /** Called with what became a 500, or a 503 that has `Retry-After`: the cause, which the client is not shown. Must not throw. */
  readonly onError?: (error: unknown) => void
}

/** The API as a fetch handler. */
export interface IngressApiHandler {
  /** Never rejects. */
  readonly fetch: (request: Request) => Promise<Response>
  /** From now on responds with 503, and resolves once the requests that run have their response. The ingresses go on. */
  readonly dispose: () => Promise<void>
}

/**
 * Serves the API of ingresses, in a Worker, in Node, Bun and Deno alike.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, and unless one of `tokens` and `authenticate` is given
 *
 * @example
 * const api = ingressApi({ ingresses, tokens: [{ token: env.API_TOKEN }] })
 * export default { fetch: api.fetch }
 */
export const ingressApi = (options: IngressApiOptions): IngressApiHandler => {
  checkOptions("ingressApi", options, checks, { required: ["ingresses"] })
  const { ingresses, tokens, mode, basePath = "" } = options
  if ((tokens === undefined) === (options.authenticate === undefined)) {
    throw new TypeError("ingressApi: one of tokens and authenticate must be given")
  }
  const authenticate = options.authenticate ?? authenticateByTokens(tokens ?? [])
  const isHypeman = mode === "hypeman"
  const operation = operationsOf(isHypeman ? HypemanApi : IngressApi)
  const handlers = handlersOf(ingresses, mode, basePath)
  const report = (error: unknown): void => {
    try {
      options.onError?.(error)
    } catch {
      // The client still gets its response.
    }
  }
  const running = new Set<Promise<Response>>()
  let isDisposed = false

  // Once: it takes long, and nobody needs a token for it.
  let spec: OpenApi.OpenAPISpec | undefined
  const openApi = () => {
    spec ??= {
      ...(isHypeman ? OpenApi.fromApi(HypemanApi) : OpenApi.fromApi(IngressApi)),
      servers: [{ url: basePath || "/" }],
    }
    return spec
  }
  const pages: Readonly<Record<string, () => Response | Promise<Response>>> = {
    "/openapi.json": () => Response.json(openApi()),
    "/docs": () => docsPage(openApi(), `${basePath}/openapi.json`),
  }

  const respond = async (request: Request): Promise<Response> => {
    if (isDisposed) throw new RequestProblem("unavailable", "the API is stopping")
    const { pathname, searchParams } = new URL(request.url)
    if (!pathname.startsWith(`${basePath}/`)) throw new RequestProblem("not_found", "there is nothing at this path")
    const path = pathname.slice(basePath.length)
    const method = request.method === "HEAD" ? "GET" : request.method
    if (Object.hasOwn(pages, path)) {
      if (method !== "GET") throw methodNotAllowed(["GET", "HEAD"])
      return pages[path]!()
    }
    const { name, id, query, takesBody, takesVersion } = operation(method, path)
    // Before anything of the request is read: a caller without a token costs a hash.
    const caller = await callerOf(request, authenticate)
    const ifVersion = takesVersion ? ifVersionOf(request.headers.get("if-match")) : undefined
    const call: Call = {
      ...caller,
      id,
      query: query(searchParams),
      ...(ifVersion === undefined ? {} : { ifVersion }),
      document: takesBody ? await readDocument(request) : undefined,
    }
    // The names are those of the definition, and there is a handler for each.
    return responseOf(await handlers[name as keyof Handlers](call))
  }

  const finished = async (request: Request): Promise<Response> => {
    const response = await respond(request).catch((error: unknown) => errorResponse(error, mode, report))
    const headers = new Headers(response.headers)
    for (const [name, value] of Object.entries(common)) headers.set(name, value)
    if (request.method !== "HEAD") return new Response(response.body, { status: response.status, headers })
    headers.set("content-length", String((await response.arrayBuffer()).byteLength))
    return new Response(null, { status: response.status, headers })
  }

  return {
    fetch(request) {
      const response = finished(request)
      running.add(response)
      return response.finally(() => running.delete(response))
    },
    async dispose() {
      isDisposed = true
      await Promise.allSettled(running)
    },
  }
}

const responseOf = ({ status, body, headers = {} }: Reply): Response =>
  body === undefined ? new Response(null, { status, headers }) : Response.json(body, { status, headers })

/** On every response: what it says is of one caller, and is data. */
const common = { "cache-control": "no-store", "x-content-type-options": "nosniff" }

const isToken = (value: unknown): boolean => {
  if (typeof value !== "object" || value === null) return false
  const { token, sha256, owner } = value as Readonly<Record<string, unknown>>
  const isOwner = owner === undefined || (typeof owner === "string" && owner !== "")
  if (sha256 === undefined) return isOwner && typeof token === "string" && /^[\w\-.~+/]{16,4096}=*$/.test(token)
  return isOwner && token === undefined && typeof sha256 === "string" && /^[\da-f]{64}$/.test(sha256)
}

const checks = {
  ingresses: accept.object,
  tokens: (value: unknown) =>
    Array.isArray(value) && value.length > 0 && value.every(isToken)
      ? undefined
      : "an array of { token, owner? } or { sha256, owner? }, with tokens of 16 to 4096 characters of RFC 6750",
  authenticate: accept.function,
  mode: (value: unknown) => (value === "hypeman" ? undefined : '"hypeman"'),
  basePath: (value: unknown) =>
    typeof value === "string" && /^(?:\/[\w.~-]+)*$/.test(value) && !/\/\.{1,2}(?:\/|$)/.test(value)
      ? undefined
      : "a path without a slash at its end: /v1",
  onError: accept.function,
}
