/** The part of Cloudflare's API that makes and removes tunnels, with its state, as its own guide and its own client have it. */
import { randomBytes, randomUUID } from "node:crypto"
import type { IncomingMessage } from "node:http"
import { answer, listen } from "./http.ts"

export interface FakeCloudflare {
  readonly apiBase: string
  readonly apiToken: string
  readonly accountId: string
  readonly zoneId: string
  /** `POST /accounts/…/cfd_tunnel`, in order. */
  readonly calls: string[]
  readonly tunnels: Map<string, FakeTunnel>
  readonly records: Map<string, FakeRecord>
  /** Applications of Access by their ids, each with its policies. */
  readonly applications: Map<string, FakeApplication>
  /** Service tokens of Access by their ids. */
  readonly serviceTokens: Map<string, { readonly clientId: string; readonly clientSecret: string }>
  /** How often `cloudflared` is connected, by a tunnel's id. */
  readonly connections: Map<string, number>
  /** Answers calls that begin so with a failure, until told otherwise. `lost`: done, and the connection cut. */
  readonly breaks: Map<string, Break>
  readonly close: () => Promise<void>
}

export interface FakeTunnel {
  readonly name: string
  /** In ISO 8601. */
  createdAt: string
  readonly token: string
  config?: unknown
}

export interface FakeApplication {
  readonly domain: string
  readonly type: unknown
  readonly policies: { readonly decision: unknown; readonly include: unknown }[]
}

export interface FakeRecord {
  readonly name: string
  readonly content: string
  readonly proxied: boolean
  readonly ttl: unknown
}

export type Break =
  | "lost"
  | { readonly status: number; readonly codes?: readonly number[]; readonly retryAfter?: string }

export const fakeCloudflare = async (): Promise<FakeCloudflare> => {
  const apiToken = randomBytes(20).toString("hex")
  const accountId = randomBytes(16).toString("hex")
  const zoneId = randomBytes(16).toString("hex")
  const tunnels: FakeCloudflare["tunnels"] = new Map()
  const records: FakeCloudflare["records"] = new Map()
  const connections: FakeCloudflare["connections"] = new Map()
  const breaks: FakeCloudflare["breaks"] = new Map()
  const calls: string[] = []
  const applications: FakeCloudflare["applications"] = new Map()
  const serviceTokens: FakeCloudflare["serviceTokens"] = new Map()

  const server = await listen(async (request, response) => {
    const url = new URL(request.url!, "http://fake")
    const path = url.pathname.replace("/client/v4", "").replace(accountId, "ACCOUNT").replace(zoneId, "ZONE")
    const operation = `${request.method} ${path.replace(/[0-9a-f-]{36}|[0-9a-f]{32}/, "ID")}`
    const id = /[0-9a-f-]{36}|[0-9a-f]{32}/.exec(path)?.[0] ?? ""
    calls.push(operation)
    const body = await jsonOf(request)
    const fail = (status: number, ...codes: number[]): void =>
      answer(response, status, { success: false, errors: codes.map((code) => ({ code, message: "no" })), result: null })
    const give = (result: unknown): void => answer(response, 200, { success: true, errors: [], messages: [], result })
    const broken = breaks.get(operation)
    if (broken !== undefined && broken !== "lost") {
      if (broken.retryAfter !== undefined) response.setHeader("retry-after", broken.retryAfter)
      return fail(broken.status, ...(broken.codes ?? []))
    }
    if (request.headers.authorization !== `Bearer ${apiToken}`) return fail(401, 10_000)

    /** A page of a list, of 20 unless more are asked for. */
    const page = (all: readonly unknown[]): void => {
      const number = Number(url.searchParams.get("page") ?? 1)
      const size = Number(url.searchParams.get("per_page") ?? 20)
      const result = all.slice((number - 1) * size, number * size)
      const info = { page: number, per_page: size, count: result.length, total_count: all.length }
      if (broken === "lost") request.socket.destroy()
      else answer(response, 200, { success: true, errors: [], messages: [], result, result_info: info })
    }
    const tunnelOf = (id: string, { name, createdAt }: FakeTunnel) => ({
      id,
      name,
      created_at: createdAt,
      status: (connections.get(id) ?? 0) > 0 ? "healthy" : "inactive",
    })

    const done = (result: unknown): void => (broken === "lost" ? void request.socket.destroy() : give(result))
    switch (operation) {
      case "POST /accounts/ACCOUNT/cfd_tunnel": {
        const name = String(body["name"])
        if ([...tunnels.values()].some((tunnel) => tunnel.name === name)) return fail(409, 1_013)
        const id = randomUUID()
        tunnels.set(id, { name, createdAt: new Date().toISOString(), token: `eyJ${randomBytes(24).toString("hex")}` })
        return done(tunnelOf(id, tunnels.get(id)!))
      }
      case "GET /accounts/ACCOUNT/cfd_tunnel": {
        const { name = "", include_prefix: prefix = "" } = Object.fromEntries(url.searchParams)
        const listed = [...tunnels].filter(([, tunnel]) => tunnel.name.startsWith(prefix))
        const named = listed.filter(([, tunnel]) => name === "" || tunnel.name === name)
        return page(named.map(([id, tunnel]) => tunnelOf(id, tunnel)))
      }
      case "GET /accounts/ACCOUNT/access/apps": {
        const wanted = url.searchParams.get("domain")
        const found = [...applications].filter(([, { domain }]) => domain === wanted)
        return page(found.map(([id, { domain }]) => ({ id, domain })))
      }
      case "POST /accounts/ACCOUNT/access/apps": {
        const id = randomUUID()
        applications.set(id, { domain: String(body["domain"]), type: body["type"], policies: [] })
        return done({ id, domain: body["domain"] })
      }
      case "POST /accounts/ACCOUNT/access/apps/ID/policies": {
        const application = applications.get(id)
        if (application === undefined) return fail(404)
        application.policies.push({ decision: body["decision"], include: body["include"] })
        return done({ id: randomUUID() })
      }
      case "POST /accounts/ACCOUNT/access/service_tokens": {
        const id = randomUUID()
        const token = {
          clientId: `${randomBytes(16).toString("hex")}.access`,
          clientSecret: randomBytes(32).toString("hex"),
        }
        serviceTokens.set(id, token)
        return done({ id, name: body["name"], client_id: token.clientId, client_secret: token.clientSecret })
      }
      case "GET /accounts/ACCOUNT/cfd_tunnel/ID":
        return tunnels.has(id) ? done(tunnelOf(id, tunnels.get(id)!)) : fail(404)
      case "DELETE /accounts/ACCOUNT/cfd_tunnel/ID/connections":
        connections.delete(id)
        return tunnels.has(id) ? done(null) : fail(404)
      case "GET /accounts/ACCOUNT/cfd_tunnel/ID/token": {
        const tunnel = tunnels.get(id)
        return tunnel === undefined ? fail(404) : done(tunnel.token)
      }
      case "PUT /accounts/ACCOUNT/cfd_tunnel/ID/configurations": {
        const tunnel = tunnels.get(id)
        if (tunnel === undefined) return fail(404)
        tunnel.config = body["config"]
        return done({ tunnel_id: id, config: tunnel.config })
      }
      case "DELETE /accounts/ACCOUNT/cfd_tunnel/ID":
        // A tunnel with connections is only removed with them.
        if (url.searchParams.get("cascade") !== "true" && (connections.get(id) ?? 0) > 0) return fail(400)
        connections.delete(id)
        return tunnels.delete(id) ? done({ id }) : fail(404)
      case "POST /zones/ZONE/dns_records": {
        const record = {
          name: String(body["name"]),
          content: String(body["content"]),
          proxied: body["proxied"] === true,
          ttl: body["ttl"],
        }
        if ([...records.values()].some(({ name }) => name === record.name)) return fail(400, 81_054)
        const id = randomBytes(16).toString("hex")
        records.set(id, record)
        return done({ id, type: "CNAME", ...record })
      }
      case "GET /zones/ZONE/dns_records": {
        const wanted = url.searchParams.get("name.exact")
        const found = [...records].filter(([, { name }]) => name === wanted)
        return page(found.map(([id, record]) => Object.assign({ id, type: "CNAME" }, record)))
      }
      case "DELETE /zones/ZONE/dns_records/ID":
        return records.delete(id) ? done({ id }) : fail(404)
      default:
        return fail(404)
    }
  })

  return {
    apiBase: `${server.origin}/client/v4`,
    apiToken,
    accountId,
    zoneId,
    calls,
    tunnels,
    records,
    applications,
    serviceTokens,
    connections,
    breaks,
    close: server.close,
  }
}

const jsonOf = async (request: IncomingMessage): Promise<Record<string, unknown>> => {
  let text = ""
  for await (const chunk of request) text += String(chunk)
  return text === "" ? {} : (JSON.parse(text) as Record<string, unknown>)
}
