/**
 * Vercel Sandbox as its own client (@vercel/sandbox 3.5) expects it and its pages of errors have it: the API, and the edge, which
 * knows a session by its hostname. A test reaches the edge on the loopback, so the host comes in a header of the kit's. It sends on
 * to a real machine proxy. What the edge writes beside the status of an error was never recorded, and no test may depend on it.
 */
import { randomBytes } from "node:crypto"
import type { IncomingMessage, ServerResponse } from "node:http"
import { edgeHostHeader } from "../../src/testing.ts"
import { answer, listen, refuse, sendOn, upgradeOn } from "./http.ts"
import type { Onward, Said } from "./http.ts"

export interface FakeSession {
  readonly id: string
  /** The first label of each port's hostname. */
  readonly subdomains: ReadonlyMap<number, string>
  status: string
  /** In ms. */
  timeout: number
  /** In ms since 1970. */
  readonly startedAt: number
}

export interface FakeSandbox {
  readonly name: string
  readonly ports: readonly number[]
  /** Whether its files are kept. */
  persistent: boolean
  /** Whether what a session begins with is there. */
  snapshot: boolean
  /** Who listens on port 8080 inside it. */
  machineProxyPort: number
  session: FakeSession
  /** What a command starts inside, which is awaited. */
  boot: (command: unknown) => Promise<void>
  /** Starts a session, in which nothing runs. */
  readonly resume: () => void
  readonly remove: () => void
}

export interface Scripted {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

export interface FakeVercel {
  readonly apiBase: string
  readonly token: string
  readonly teamId: string
  readonly projectId: string
  readonly edgeOrigin: string
  readonly calls: {
    readonly method: string
    readonly path: string
    readonly authorization: unknown
    readonly body: string
  }[]
  /** What the edge received. */
  readonly edge: IncomingMessage["headers"][]
  readonly sandbox: (machineProxyPort: number, ports?: readonly number[]) => FakeSandbox
  /** Every response of the API from now on, none at all, or again its own. */
  readonly always: (response: Scripted | "hang" | undefined) => void
  readonly close: () => Promise<void>
}

export const fakeVercel = async (): Promise<FakeVercel> => {
  const token = `vcp_${randomBytes(20).toString("hex")}`
  const [teamId, projectId] = [`team_${randomBytes(12).toString("hex")}`, `prj_${randomBytes(12).toString("hex")}`]
  const sandboxes = new Map<string, FakeSandbox>()
  /** By hostname's first label; sessions that are over, too. */
  const hosts = new Map<
    string,
    { readonly sandbox: FakeSandbox; readonly session: FakeSession; readonly port: number }
  >()
  const calls: FakeVercel["calls"][number][] = []
  const received: IncomingMessage["headers"][] = []
  let always: Scripted | "hang" | undefined

  const api = await listen(async (request, response) => {
    const { method = "", url = "", headers } = request
    const body = await textOf(request)
    calls.push({ method, path: url, authorization: headers.authorization, body })
    if (always === "hang") return undefined
    if (always !== undefined) return answer(response, always.status, always.body, always.headers)
    const { pathname, searchParams: query } = new URL(url, "http://api")
    if (headers.authorization !== `Bearer ${token}` || query.get("teamId") !== teamId)
      return fail(response, 403, "forbidden")
    const [, id, action] = /^\/api\/v2\/sandboxes\/sessions\/([^/]+)\/([\w-]+)$/.exec(pathname) ?? []
    if (id !== undefined) {
      const sandbox = [...sandboxes.values()].find(({ session }) => session.id === id)
      if (sandbox === undefined) return fail(response, 404, "not_found")
      return operate(sandbox, `${method} ${action}`, body, response)
    }
    const name = decodeURIComponent(/^\/api\/v2\/sandboxes\/([^/]+)$/.exec(pathname)?.[1] ?? "")
    const sandbox = sandboxes.get(name)
    if (sandbox === undefined || query.get("projectId") !== projectId) return fail(response, 404, "not_found")
    if (method === "DELETE") {
      sandbox.remove()
      return answer(response, 200, { sandbox: sandboxOf(sandbox) })
    }
    const { status } = sandbox.session
    const wanted = query.get("resume") === "true" && status !== "running" && status !== "pending"
    if (wanted && (status === "stopping" || status === "snapshotting")) return fail(response, 422, `sandbox_${status}`)
    if (wanted && !sandbox.snapshot) return fail(response, 410, "snapshot_not_found")
    if (wanted) sandbox.resume()
    return answer(response, 200, {
      sandbox: sandboxOf(sandbox),
      session: sessionOf(sandbox.session),
      routes: routesOf(sandbox.session),
      resumed: wanted,
    })
  })

  const route = (request: IncomingMessage): Said | Onward => {
    received.push({ ...request.headers })
    const host = String(request.headers[edgeHostHeader])
    const says = (status: number, code: string): Said => ({
      status,
      headers: { "content-type": "text/plain; charset=utf-8", server: "Vercel", "x-vercel-error": code },
      body: code,
    })
    const found = host.endsWith(".vercel.run") ? hosts.get(host.split(".")[0]!) : undefined
    if (found === undefined || !sandboxes.has(found.sandbox.name)) return says(404, "SANDBOX_NOT_FOUND")
    if (found.session.status !== "running") return says(410, "SANDBOX_STOPPED")
    const closed = () => says(502, "SANDBOX_NOT_LISTENING")
    return found.port === 8_080 ? onward(request, found.sandbox, host, closed) : closed()
  }
  const edge = await listen(
    (request, response) => {
      const to = route(request)
      if ("status" in to) answer(response, to.status, to.body, to.headers)
      else sendOn(request, response, to)
    },
    (request, socket, head) => {
      const to = route(request)
      if ("status" in to) refuse(socket, to)
      else upgradeOn(request, socket, head, to)
    },
  )

  const sandbox = (machineProxyPort: number, ports: readonly number[] = [8_080]): FakeSandbox => {
    const session = (startedAt: number): FakeSession => {
      const subdomains = new Map(ports.map((port) => [port, `sb-${randomBytes(6).toString("hex")}`]))
      const made = {
        id: `sbx_${randomBytes(8).toString("hex")}`,
        subdomains,
        status: "running",
        timeout: 300_000,
        startedAt,
      }
      for (const [port, subdomain] of subdomains)
        hosts.set(subdomain, {
          get sandbox() {
            return self
          },
          session: made,
          port,
        })
      return made
    }
    const self: FakeSandbox = {
      name: `machine-${randomBytes(4).toString("hex")}`,
      ports,
      persistent: true,
      snapshot: true,
      machineProxyPort,
      session: session(Date.now() - 120_000),
      boot: async () => {},
      resume: () => void (self.session = session(Date.now())),
      remove: () => void sandboxes.delete(self.name),
    }
    sandboxes.set(self.name, self)
    return self
  }

  return {
    apiBase: `${api.origin}/api`,
    token,
    teamId,
    projectId,
    edgeOrigin: edge.origin,
    calls,
    edge: received,
    sandbox,
    always: (response) => void (always = response),
    close: async () => void (await Promise.all([api.close(), edge.close()])),
  }
}

const operate = async (
  sandbox: FakeSandbox,
  operation: string,
  body: string,
  response: ServerResponse,
): Promise<void> => {
  const { session } = sandbox
  if (session.status !== "running") return fail(response, 410, "sandbox_stopped")
  switch (operation) {
    // Adds to the time that it has.
    case "POST extend-timeout":
      session.timeout += (JSON.parse(body) as { readonly duration: number }).duration
      return answer(response, 200, { session: sessionOf(session) })
    case "POST cmd": {
      const given = JSON.parse(body) as { readonly command: string; readonly args: readonly string[] }
      const { command: name, args } = given
      await sandbox.boot([name, ...args])
      const startedAt = session.startedAt + 1
      const command = {
        id: "cmd_1",
        name,
        args,
        cwd: "/vercel/sandbox",
        sessionId: session.id,
        exitCode: null,
        startedAt,
      }
      return answer(response, 200, { command })
    }
    case "POST stop":
      session.status = "stopped"
      return answer(response, 200, { session: sessionOf(session), sandbox: sandboxOf(sandbox) })
    default:
      return fail(response, 404, "not_found")
  }
}

const sessionOf = ({ id, status, timeout, startedAt }: FakeSession) => ({
  id,
  status,
  timeout,
  startedAt,
  memory: 2_048,
  vcpus: 1,
  region: "iad1",
  runtime: "node24",
  cwd: "/vercel/sandbox",
  requestedAt: startedAt - 100,
  createdAt: startedAt - 100,
  updatedAt: startedAt,
})

const sandboxOf = ({ name, persistent, session }: FakeSandbox) => ({
  name,
  persistent,
  region: "iad1",
  timeout: 300_000,
  createdAt: session.startedAt,
  updatedAt: session.startedAt,
  currentSessionId: session.id,
  status: session.status,
})

const routesOf = ({ subdomains }: FakeSession) =>
  [...subdomains].map(([port, subdomain]) => ({ port, subdomain, url: `https://${subdomain}.vercel.run` }))

const onward = (
  request: IncomingMessage,
  { machineProxyPort }: FakeSandbox,
  host: string,
  unreached: () => Said,
): Onward => {
  const { [edgeHostHeader]: _, ...headers } = request.headers
  const client = "203.0.113.7"
  const own = { "x-forwarded-for": client, "x-real-ip": client, "x-forwarded-host": host, "x-forwarded-proto": "https" }
  return { port: machineProxyPort, headers: { ...headers, ...own, host, "x-vercel-id": "iad1::abc" }, unreached }
}

const fail = (response: ServerResponse, status: number, code: string): void =>
  answer(response, status, { error: { code, message: `${code}.` } })

const textOf = async (request: IncomingMessage): Promise<string> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return text
}
