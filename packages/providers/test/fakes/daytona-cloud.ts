/**
 * Daytona as facts have it (server v0.190 and what others recorded since): a control plane and, for each sandbox, an edge of
 * its own address, because `{port}-{id}.{domain}` is a name that a test's machine does not resolve. The edge sends on to a
 * real machine proxy. What it does to a request and in which order is §3.3 of the facts; every deviation is a switch.
 */
import { randomBytes, randomUUID } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import type { Duplex } from "node:stream"
import type { PortPreviewUrl, Sandbox, SandboxState, SignedPortPreviewUrl } from "@daytonaio/api-client"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { FakeServer, Onward, Said } from "./http.ts"

export interface ApiCall {
  readonly method: string
  readonly path: string
  readonly authorization: string | undefined
  readonly organization: string | undefined
  readonly body: string
}

/** The fault of an edge, instead of its sending on. */
export type EdgeFault = "none" | "container-gone" | "port-closed" | "no-runner"

export interface FakeSandbox {
  readonly id: string
  /** What most calls take as well. */
  readonly name: string
  /** A container cannot be resumed when it is paused. */
  sandboxClass: Sandbox["sandboxClass"]
  /** Where its edge listens, as preview links name it. */
  readonly origin: string
  /** Who listens on port 8080 inside it. */
  machineProxyPort: number
  /** As the control plane words it: `started`. */
  state: string
  token: string
  public: boolean
  fault: EdgeFault
  /** The edge believes no token, whatever the control plane says. */
  lockedOut: boolean
  /** What the edge received, at most once a request. */
  readonly edge: { readonly method: string; readonly headers: IncomingMessage["headers"] }[]
  /** Every bearer that the edge sent to the API to have it validated. After one that failed it is throttled. */
  readonly validated: string[]
  lastActivities: number
  readonly rotateToken: () => void
  /** Awaited by a start that finds it stopped: what boots inside. */
  boot: () => Promise<void>
  /** As the idle timer does. The edge of a private sandbox still lets its token in. */
  readonly stop: () => void
  /** Nothing is left but what the control plane forgets. */
  readonly destroy: () => void
}

export interface Scripted {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface FakeDaytona {
  readonly apiBase: string
  readonly apiKey: string
  readonly calls: ApiCall[]
  /** Who followed the edge to its login page; it answers 200. */
  readonly logins: string[]
  /** A started sandbox whose port 8080 is the given one. */
  readonly sandbox: (machineProxyPort: number) => Promise<FakeSandbox>
  /** The next answers of the control plane, instead of what it would say. */
  readonly next: (...answers: Scripted[]) => void
  /** Every answer from now on, none at all, or again what it would say. */
  readonly always: (answer: Scripted | "hang" | undefined) => void
  readonly close: () => Promise<void>
}

interface Running extends FakeSandbox {
  readonly login: string
  destroyed: boolean
}

/** What an installation listens on and answers with, its own key apart. */
export const fakeDaytona = async (): Promise<FakeDaytona> => {
  const apiKey = `dtn_${randomBytes(24).toString("hex")}`
  const sandboxes = new Map<string, Running>()
  const servers: FakeServer[] = []
  const calls: ApiCall[] = []
  const scripted: Scripted[] = []
  let always: Scripted | "hang" | undefined

  const api = await listen(async (request, response) => {
    const path = request.url!
    const header = (name: string): string | undefined => request.headers[name] as string | undefined
    const call = {
      method: request.method!,
      path,
      authorization: header("authorization"),
      organization: header("x-daytona-organization-id"),
      body: await textOf(request),
    }
    calls.push(call)
    const fail = (statusCode: number, error: string, message: string): void =>
      answer(response, statusCode, { path, timestamp: new Date(0).toISOString(), statusCode, error, message })
    const script = scripted.shift() ?? always
    if (script === "hang") return undefined
    if (script !== undefined) return answer(response, script.status, script.body, script.headers)
    if (call.authorization !== `Bearer ${apiKey}`) return fail(401, "Unauthorized", "Invalid credentials")
    if (/^\/api\/sandbox(?:\?.*)?$/.test(path) && call.method === "GET") {
      const items = [...sandboxes.values()].filter(({ destroyed }) => !destroyed).map(dto)
      return answer(response, 200, { items, nextCursor: null })
    }
    const match = /^\/api\/sandbox\/([^/]+)(?:\/([^?]*))?(?:\?(.*))?$/.exec(path)
    const wanted = match?.[1] ?? ""
    const sandbox = sandboxes.get(wanted) ?? [...sandboxes.values()].find(({ name }) => name === wanted)
    if (match === null || sandbox === undefined || sandbox.destroyed) {
      return fail(404, "Not Found", `Sandbox with ID or name ${match?.[1] ?? ""} not found`)
    }
    // The only call that takes no name: it says nothing about that.
    if (match[2] === "last-activity" && wanted !== sandbox.id) return answer(response, 201)
    return operate(sandbox, `${call.method} ${match[2] ?? ""}`, new URLSearchParams(match[3]), response, fail)
  })
  const logins: string[] = []
  const login = await listen((request, response) => {
    logins.push(request.url!)
    answer(response, 200, "<title>Log in</title>", { "content-type": "text/html" })
  })
  servers.push(api, login)

  const sandbox = async (machineProxyPort: number): Promise<FakeSandbox> => {
    const id = randomUUID()
    const server = await listen(
      (request, response) => edge(made, apiKey, request, response),
      (request, socket, head) => upgrade(made, apiKey, request, socket, head),
    )
    servers.push(server)
    const made: Running = {
      id,
      name: `sandbox-${id.slice(0, 8)}`,
      sandboxClass: "container",
      origin: server.origin,
      machineProxyPort,
      state: "started",
      token: newToken(),
      public: false,
      fault: "none",
      lockedOut: false,
      login: `${login.origin}/authorize`,
      destroyed: false,
      edge: [],
      validated: [],
      lastActivities: 0,
      boot: async () => {},
      rotateToken: () => void (made.token = newToken()),
      stop: () => void (made.state = "stopped"),
      destroy: () => void (made.destroyed = true),
    }
    sandboxes.set(id, made)
    return made
  }

  return {
    apiBase: `${api.origin}/api`,
    apiKey,
    calls,
    logins,
    sandbox,
    next: (...answers) => void scripted.push(...answers),
    always: (answer) => void (always = answer),
    close: async () => void (await Promise.all(servers.map((server) => server.close()))),
  }
}

type Fail = (statusCode: number, error: string, message: string) => void

// Y01 to Y06.
const operate = async (
  sandbox: Running,
  operation: string,
  query: URLSearchParams,
  response: ServerResponse,
  fail: Fail,
): Promise<void> => {
  const { id } = sandbox
  const preview = /^GET ports\/(\d+)\/(signed-)?preview-url$/.exec(operation)
  if (preview !== null) {
    const port = Number(preview[1])
    if (port < 1 || port > 65_535) return fail(400, "Bad Request", "Invalid port")
    if (preview[2] === undefined) {
      const link: PortPreviewUrl = { sandboxId: id, url: sandbox.origin, token: sandbox.token }
      return answer(response, 200, link)
    }
    const seconds = Number(query.get("expiresInSeconds") ?? 60)
    if (seconds < 1 || seconds > 86_400) {
      return fail(400, "Bad Request", "expiresInSeconds must be between 1 second and 24 hours")
    }
    const token = randomBytes(8).toString("hex")
    const link: SignedPortPreviewUrl = { sandboxId: id, port, token, url: `http://${port}-${token}.proxy.test` }
    return answer(response, 200, link)
  }
  // Every link of this fake is expired already: nothing serves them.
  if (/^POST ports\/\d+\/signed-preview-url\/\w+\/expire$/.test(operation)) return answer(response, 200)
  switch (operation) {
    case "GET ":
      return answer(response, 200, dto(sandbox))
    case "POST last-activity":
      sandbox.lastActivities++
      return answer(response, 201)
    case "POST start": {
      const { state } = sandbox
      if (state === "started") return answer(response, 200, dto(sandbox))
      if (state === "error" || state === "build_failed") {
        return fail(400, "Bad Request", "Sandbox is in an errored state")
      }
      // One that is being archived may start.
      if (state.endsWith("ing") && state !== "archiving") {
        return fail(409, "Conflict", "Sandbox state change in progress")
      }
      if (!["stopped", "archived", "archiving", "paused"].includes(state)) {
        return fail(400, "Bad Request", "Sandbox is not in valid state")
      }
      if (state === "paused" && sandbox.sandboxClass === "container") {
        return fail(422, "Unprocessable Entity", "Resuming is not supported for this sandbox")
      }
      const started = async (): Promise<void> => {
        await sandbox.boot()
        // A resumed one keeps its token.
        if (state !== "paused") sandbox.rotateToken()
        sandbox.state = "started"
      }
      // One from the archive is not waited for.
      if (state === "archived" || state === "archiving") {
        sandbox.state = "restoring"
        void started()
      } else await started()
      return answer(response, 200, dto(sandbox))
    }
    case "POST stop":
      if (sandbox.state !== "started") return fail(400, "Bad Request", "Sandbox is not started")
      sandbox.stop()
      return answer(response, 200, dto(sandbox))
    case "POST pause":
      if (sandbox.state !== "started") return fail(400, "Bad Request", "Sandbox is not started")
      sandbox.state = "paused"
      return answer(response, 200, dto(sandbox))
    case "POST recover":
      if (sandbox.state !== "error") return fail(400, "Bad Request", "Sandbox is not in an error state")
      sandbox.state = "started"
      return answer(response, 200, dto(sandbox))
    default:
      return fail(404, "Not Found", `Cannot ${operation}`)
  }
}

/** A sandbox as the vendor's own client types it. */
const dto = ({ id, name, public: isPublic, state, sandboxClass }: FakeSandbox): Sandbox => ({
  id,
  name,
  organizationId: "org",
  user: "daytona",
  env: {},
  labels: {},
  public: isPublic,
  networkBlockAll: false,
  kvm: false,
  target: "us",
  cpu: 1,
  gpu: 0,
  memory: 1,
  disk: 3,
  // A test may set one that nobody knows.
  state: state as SandboxState,
  ...(sandboxClass === undefined ? {} : { sandboxClass }),
  toolboxProxyUrl: "http://toolbox.test",
})

/** §3.3, in its order: what the edge says itself, when the request goes no further. */
const refusal = (sandbox: Running, apiKey: string, request: IncomingMessage): Said | undefined => {
  const { headers, method = "GET" } = request
  sandbox.edge.push({ method, headers: { ...headers } })
  if (reflected(request) !== undefined && method === "OPTIONS") return { status: 204 }
  if (headers["user-agent"]?.startsWith("Mozilla/") === true && headers["x-daytona-skip-preview-warning"] !== "true") {
    return {
      status: 200,
      headers: {
        "content-type": "text/html",
        "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
      },
      body: "<!doctype html><title>Daytona Preview - Warning</title>",
    }
  }
  // It forgives a few more than one, and nobody may count on that.
  if (sandbox.validated.some((bearer) => bearer !== apiKey)) {
    return { status: 429, headers: { "retry-after-failed-auth": "60" } }
  }
  if (!sandbox.public && !admitted(sandbox, apiKey, headers)) {
    const state = Buffer.from(JSON.stringify({ returnTo: `${sandbox.origin}${request.url}`, sandboxId: sandbox.id }))
    return {
      status: 307,
      headers: {
        location: `${sandbox.login}?redirect_uri=x&state=${state.toString("base64")}`,
        "set-cookie": "pkce_verifier=secret; Max-Age=300; HttpOnly",
      },
      ...(method === "GET" ? { body: `<a href="/login">Temporary Redirect</a>.` } : {}),
    }
  }
  const fault = (statusCode: number, code: string, message: string): Said => {
    const path = `/sandboxes/${sandbox.id}/toolbox/proxy/8080${request.url}`
    const body = { statusCode, message, code, timestamp: new Date(0).toISOString(), path, method }
    return { status: statusCode, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }
  }
  if (sandbox.fault === "no-runner") return fault(400, "BAD_REQUEST", "bad request: failed to get runner info: none")
  if (sandbox.fault === "container-gone") {
    return fault(404, "NOT_FOUND", "not found: sandbox container not found: no such container")
  }
  if (sandbox.state !== "started") {
    const why = "failed to resolve container IP after 3 attempts: no IP address found. Is the Sandbox started?"
    return fault(400, "SANDBOX_NOT_RUNNING", `bad request: ${why}`)
  }
  return sandbox.fault === "port-closed" ? { status: 502 } : undefined
}

/** The page whose requests the edge answers for, unless it was told not to. */
const reflected = ({ headers }: IncomingMessage): string | undefined =>
  headers["x-daytona-disable-cors"] === "true" ? undefined : headers.origin

/** Tries the request's own bearer first, then the preview token; strips what it accepted. */
const admitted = (sandbox: Running, apiKey: string, headers: IncomingMessage["headers"]): boolean => {
  const bearer = /^Bearer (.*)$/.exec(headers.authorization ?? "")?.[1]
  if (bearer !== undefined) {
    sandbox.validated.push(bearer)
    if (bearer === apiKey) {
      delete headers.authorization
      return !sandbox.destroyed
    }
  }
  const token = headers["x-daytona-preview-token"]
  delete headers["x-daytona-preview-token"]
  return token === sandbox.token && !sandbox.destroyed && !sandbox.lockedOut
}

/** Three hops of Go's ReverseProxy: the target as it came, two headers appended, `Host` the container's. */
const onward = (sandbox: Running, request: IncomingMessage): Onward => {
  const { "x-forwarded-host": host, "x-forwarded-for": client, ...headers } = request.headers
  const append = (before: string | string[] | undefined, more: string): string[] => [before ?? [], more].flat()
  return {
    port: sandbox.machineProxyPort,
    headers: {
      ...headers,
      host: "localhost:8080",
      "x-forwarded-host": append(host, `8080-${sandbox.id}.proxy.test`),
      "x-forwarded-for": append(client, "203.0.113.7").join(", "),
    },
    // Y12
    unreached: () => ({ status: 502 }),
  }
}

const edge = (sandbox: Running, apiKey: string, request: IncomingMessage, response: ServerResponse): void => {
  const page = reflected(request)
  if (page !== undefined) {
    response.setHeader("access-control-allow-origin", page)
    response.setHeader("access-control-allow-credentials", "true")
  }
  const said = refusal(sandbox, apiKey, request)
  if (said === undefined) sendOn(request, response, onward(sandbox, request))
  else answer(response, said.status, said.body, said.headers)
}

const upgrade = (sandbox: Running, apiKey: string, request: IncomingMessage, socket: Duplex, head: Buffer): void => {
  const said = refusal(sandbox, apiKey, request)
  if (said === undefined) upgradeOn(request, socket, head, onward(sandbox, request))
  else refuse(socket, said)
}

const newToken = (): string => randomBytes(16).toString("hex")

const textOf = async (request: IncomingMessage): Promise<string> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return text
}
