import { authenticateByTokens } from "../api/authenticate.ts"
import { readCaller } from "../api/caller.ts"
import type { Caller } from "../api/caller.ts"
import { accept, canonicalAddress, checkOptions, cidrMatcher, isObject } from "@project-ingress/router/internal"
import { IngressInvalid } from "../resource/errors.ts"
import type { Expose } from "./create-expose.ts"
import { readAddRecord } from "./read-add-record.ts"
import { failureResponse, jsonError, plainError, recordJson } from "./records-response.ts"

/** What {@link recordsHandler} accepts. One of `authenticate` and `allowedSources` is required. */
export interface RecordsHandlerOptions {
  readonly expose: Expose
  /**
   * A bearer token of at least 16 characters, or a function that gives whose call it is: `undefined` for 401, `{}` for the operator,
   * `{ owner }` for a tenant: names of others are not found. Anything else is 500.
   */
  readonly authenticate?: string | ((request: Request) => Caller | undefined | Promise<Caller | undefined>)
  /** The networks that callers must be in, by `clientAddress`: `["100.64.0.0/10"]`. All others get 403. */
  readonly allowedSources?: readonly string[]
  /**
   * The address of the connection that a request came by, as its host knows it; never a field of the request, which anybody can
   * write. It is the target of a request that names none.
   */
  readonly clientAddress?: (request: Request) => string | undefined
  /** The address of a device of `target_device` that is no IP address; `undefined`: there is no such device. Default: addresses only. */
  readonly findDevice?: (device: string) => string | undefined | Promise<string | undefined>
  /** Called for each failure that the caller is not to blame for, with its cause. Must not throw. */
  readonly onError?: (error: unknown) => void
}

const MAX_BODY = 65_536

const METHODS: Readonly<Record<string, string>> = {
  "/add-record": "POST",
  "/list-records": "GET",
  "/remove-record": "DELETE",
}

/**
 * A fetch-shaped handler for `POST /add-record`, `GET /list-records` and `DELETE /remove-record`, with the JSON that is documented for
 * them, in the form of six fields and in the form of three. Other paths are 404.
 *
 * @throws {TypeError} for unknown, missing or invalid options, and without any limit of who may call
 */
export const recordsHandler = (options: RecordsHandlerOptions): ((request: Request) => Promise<Response>) => {
  checkOptions(
    "recordsHandler",
    options,
    {
      expose: accept.object,
      authenticate: (value) =>
        typeof value === "function" || (typeof value === "string" && /^[\x21-\x7e]{16,1024}$/.test(value))
          ? undefined
          : "a function, or 16 or more characters of visible ASCII",
      allowedSources: (value) =>
        Array.isArray(value) && value.length > 0
          ? accept.array(accept.string)(value)
          : "an array of at least one network",
      clientAddress: accept.function,
      findDevice: accept.function,
      onError: accept.function,
    },
    { required: ["expose"] },
  )
  const { expose, authenticate, allowedSources, clientAddress, findDevice, onError = () => undefined } = options
  if (authenticate === undefined && allowedSources === undefined) {
    throw new TypeError("recordsHandler: authenticate or allowedSources must be given, or anybody could change DNS")
  }
  if (allowedSources !== undefined && clientAddress === undefined) {
    throw new TypeError("recordsHandler: clientAddress must be given with allowedSources")
  }
  const isAllowed = allowedSources && cidrMatcher("recordsHandler: allowedSources", allowedSources)
  const identify = identifier(authenticate)

  const add = async (request: Request, scope: Caller, client: string | undefined): Promise<Response> => {
    let targetField = "target_device"
    try {
      const body = await readBody(request)
      if (body === undefined) return plainError(400, "Invalid request body")
      const { name, port, protocol, target: asked, ...read } = readAddRecord(body, expose.address)
      targetField = read.targetField
      let target = asked ?? client
      if (asked !== undefined && targetField === "target_device" && canonicalAddress(asked) === undefined) {
        target = await findDevice?.(asked)
        if (target === undefined) {
          const accepted = findDevice === undefined ? "an IP address" : "an IP address or a known device"
          throw new IngressInvalid({ field: "target", accepted })
        }
      }
      const exposed = await expose.expose({
        name,
        ...scope,
        ...(port === undefined ? {} : { port }),
        ...(target === undefined ? {} : { target }),
        ...(protocol === undefined ? {} : { protocol }),
      })
      return Response.json(recordJson(exposed, name), { status: 201 })
    } catch (error) {
      return failed(error, targetField, "add")
    }
  }

  const remove = async (request: Request, scope: Caller): Promise<Response> => {
    const body = await readBody(request)
    if (body === undefined) return plainError(400, "Invalid request body")
    try {
      await expose.unexpose(body["name"] as string, scope)
    } catch (error) {
      // Whoever removes twice wants it removed.
      if (tagOf(error) !== "NotFound") return failed(error, "name", "remove")
    }
    return Response.json({ message: "Record removed successfully" })
  }

  const list = async (scope: Caller): Promise<Response> => {
    try {
      const records = await expose.list(scope)
      return Response.json(records.map((each) => recordJson(each, shortName(each.name, expose.domain))))
    } catch (error) {
      return failed(error, "name", "list")
    }
  }

  const failed = (error: unknown, targetField: string, verb: "add" | "remove" | "list"): Response => {
    const response = failureResponse(error, targetField, verb)
    if (response.status >= 500) onError(error)
    return response
  }

  return async (request) => {
    const { pathname } = new URL(request.url)
    const method = Object.hasOwn(METHODS, pathname) ? METHODS[pathname]! : undefined
    if (method === undefined) return plainError(404, "Not found")
    try {
      const client = clientAddress?.(request)
      if (isAllowed && !(client !== undefined && isAllowed(client))) {
        return jsonError(403, "this address may not change records")
      }
      if (isCrossSite(request)) return jsonError(403, "a page of another origin may not change records")
      const caller = await identify(request)
      if (caller === undefined) return jsonError(401, "a valid token is required", {}, { "www-authenticate": "Bearer" })
      if (request.method !== method) return plainError(405, "Method not allowed", { allow: method })
      const scope = caller.owner === undefined ? {} : { owner: caller.owner }
      if (pathname === "/add-record") return await add(request, scope, client)
      return await (pathname === "/remove-record" ? remove(request, scope) : list(scope))
    } catch (error) {
      onError(error)
      return jsonError(500, "internal error")
    }
  }
}

const tagOf = (error: unknown): unknown => (error as { readonly _tag?: unknown } | undefined)?._tag

/** One label, where the name is one below the domain. */
const shortName = (name: string, domain: string | undefined): string => {
  const label = domain !== undefined && name.endsWith(`.${domain}`) ? name.slice(0, -domain.length - 1) : name
  return label.includes(".") ? name : label
}

/** How the caller of a request is found. `undefined`: it is not accepted. */
const identifier = (
  authenticate: RecordsHandlerOptions["authenticate"],
): ((request: Request) => Promise<Caller | undefined>) => {
  if (authenticate === undefined) return async () => ({})
  if (typeof authenticate === "function") {
    return async (request) => {
      const caller = await authenticate(request)
      return caller === undefined ? undefined : readCaller(caller)
    }
  }
  const callerOf = authenticateByTokens([{ token: authenticate }])
  return async ({ headers }) => callerOf(/^Bearer ([\x21-\x7e]+)$/i.exec(headers.get("authorization") ?? "")?.[1] ?? "")
}

/**
 * Whether a page of another origin has a visitor's browser send it: by the address alone such a request would be allowed. Programs send
 * neither field.
 */
const isCrossSite = ({ headers, url }: Request): boolean => {
  const origin = headers.get("origin")
  const isOther = origin !== null && (!URL.canParse(origin) || new URL(origin).host !== new URL(url).host)
  return isOther || !["same-origin", "none", null].includes(headers.get("sec-fetch-site"))
}

/** The object that a body is, `undefined` for anything else, and for more than 64 KiB. */
const readBody = async ({ body }: Request): Promise<Readonly<Record<string, unknown>> | undefined> => {
  if (body === null) return undefined
  const decoder = new TextDecoder("utf-8", { fatal: true })
  let text = ""
  let left = MAX_BODY
  try {
    for await (const chunk of body) {
      left -= chunk.length
      if (left < 0) return undefined
      text += decoder.decode(chunk, { stream: true })
    }
    const value: unknown = JSON.parse(text + decoder.decode())
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
