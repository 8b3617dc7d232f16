/** The cases of the hosts once more, by a client of HTTP/2: what it sends and gets is the same but for what that protocol has not. */
import { readFileSync } from "node:fs"
import { STATUS_CODES } from "node:http"
import { connect } from "node:http2"
import { createServer } from "node:tls"
import type { ConnectionOptions } from "node:tls"
import { requestReader } from "@project-ingress/forward/http1"
import { defaultLimits } from "@project-ingress/forward/sockets"
import { afterAll, afterEach, beforeAll, beforeEach, expect, it, onTestFinished } from "vitest"
import { App, ok } from "../../../machine-proxy/test/catalogue/harness.ts"
import type { Message } from "../../../machine-proxy/test/catalogue/harness.ts"
import { signing, machine as machineId } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { cases } from "./cases.ts"
import type { HostCase, Result, Seen } from "./cases.ts"
import { startMachine } from "./hosts.ts"
import type { RunningHost } from "./hosts.ts"
import { routerFor } from "./router.ts"

/** Where HTTP/2 differs, by the title of the case. */
const differences: Readonly<Record<string, { readonly reason: string; readonly expected: Partial<Result> }>> = {
  "two `Cookie` lines": {
    reason: "pieces of a cookie are joined towards HTTP/1.1 (RFC 9113 §8.2.3)",
    expected: { app: { fields: { cookie: ['a=1; b=2; c="x, y=2"'] } } },
  },
  "names of fields, as they are written": {
    reason: "names are lower case (RFC 9113 §8.2.1)",
    expected: {
      app: { fields: { "x-powered": ["1"] }, names: ["x-powered"] },
      client: { fields: { "x-shouted": ["1"] }, names: ["x-shouted"] },
    },
  },
  trailers: {
    reason: "names are lower case (RFC 9113 §8.2.1)",
    expected: { client: { body: "ok", trailers: [["x-t", "1"]] } },
  },
}

const fixture = (name: string) =>
  readFileSync(new URL(`../../../forward/test/fixtures/localhost.${name}`, import.meta.url))

let machine: RunningHost
let host: RunningHost
let app: App

beforeAll(async () => {
  machine = await startMachine()
  const router = routerFor({ machine: machineId, port: machine.port, signingKey: signing })
  const tls = createServer({ cert: fixture("crt"), key: fixture("key"), ALPNProtocols: ["h2", "http/1.1"] })
  const { port, close } = await serveNode(router).listen({ hostname: "127.0.0.1", tls })
  host = { port, close: () => close({ deadlineMs: 0 }) }
})
afterAll(async () => {
  await host.close()
  await machine.close()
})
beforeEach(async () => {
  app = await new App().listen()
})
afterEach(() => app.stop())

/** The text of a request of HTTP/1.1 as what a client of HTTP/2 sends. */
const asStream = (text: string) => {
  const reader = requestReader(defaultLimits)
  reader.push(Buffer.from(text.replace("\r\n", "\r\nHost: a\r\n").replace(/[^\0-\x7f](?=.*HTTP)/g, "~"), "latin1"))
  const head = reader.read()
  if (head?.type !== "head") throw new Error("not a request")
  let body = head.framing === 0 ? undefined : ""
  for (let event = reader.read(); event?.type === "body"; event = reader.read())
    body += Buffer.from(event.bytes).toString("latin1")
  const target = text.split(" ", 2)[1]!
  const fields: Record<string, string | string[]> = { ":method": head.method, ":path": target }
  for (let i = 0; i < head.headers.length; i += 2) {
    const name = head.headers[i]!.toLowerCase()
    if (/^(?:host|connection|transfer-encoding|upgrade|sec-websocket-key)$/.test(name)) continue
    fields[name] = [...[fields[name] ?? []].flat(), head.headers[i + 1]!]
  }
  if (head.upgrade) Object.assign(fields, { ":method": "CONNECT", ":protocol": "websocket", ":scheme": "https" })
  return { fields, body, upgrade: head.upgrade }
}

const pairs = (raw: readonly string[]): (readonly [string, string])[] =>
  raw.flatMap((name, i) => (i % 2 === 0 && !name.startsWith(":") ? [[name, raw[i + 1]!] as const] : []))

const lineOf = (status: number): string => `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}`

/** Sends a request as a stream, and gives all that came of it. */
const ask = async (request: string) => {
  const authority = `${app.port}__misha.iterate.app`
  const tls: ConnectionOptions = { servername: authority, rejectUnauthorized: false }
  const session = connect(`https://127.0.0.1:${host.port}`, tls)
  onTestFinished(() => session.destroy())
  await new Promise((resolve) => session.once("remoteSettings", resolve))
  const { fields, body, upgrade } = asStream(request)
  const stream = session.request({ ...fields, ":authority": authority }, { endStream: body === undefined && !upgrade })
  const interim: string[] = []
  let [status, text] = [0, ""]
  let headers: (readonly [string, string])[] = []
  let trailers: (readonly [string, string])[] = []
  type Raw = readonly string[]
  stream.on("headers", (head: Record<string, unknown>) => {
    // Node's own 100 is for the client's body.
    if (head[":status"] !== 100) interim.push(lineOf(Number(head[":status"])))
  })
  stream.on("response", (head: Record<string, unknown>, _: number, raw: Raw) => {
    status = Number(head[":status"])
    headers = pairs(raw)
  })
  stream.on("trailers", (_head: unknown, _: number, raw: Raw) => (trailers = pairs(raw)))
  stream.on("data", (bytes: Buffer) => (text += bytes.toString("latin1")))
  if (!upgrade) stream.end(body === undefined ? undefined : Buffer.from(body, "latin1"))
  await new Promise<void>((resolve, reject) => stream.once("close", resolve).once("error", reject))
  return { status, headers, trailers, interim, text }
}

type Response = Awaited<ReturnType<typeof ask>>

const values = (fields: readonly (readonly [string, string])[], name: string): string[] =>
  fields.filter(([each]) => each.toLowerCase() === name).map(([, value]) => value)

const shown = (
  seen: { readonly line: string; readonly fields: readonly (readonly [string, string])[]; readonly text: string },
  expected: Seen,
): Seen => {
  const looked = Object.keys(expected.fields ?? {})
  const names = seen.fields.map(([name]) => name).filter((name) => looked.includes(name.toLowerCase()))
  return {
    ...(expected.line === undefined ? {} : { line: seen.line }),
    ...(expected.fields === undefined
      ? {}
      : { fields: Object.fromEntries(looked.map((name) => [name, values(seen.fields, name)])) }),
    ...(expected.names === undefined ? {} : { names }),
    ...(expected.body === undefined ? {} : { body: seen.text }),
  }
}

const clientSees = ({ status, headers, trailers, interim, text }: Response, expected: Seen): Seen => ({
  ...shown({ line: lineOf(status), fields: headers, text }, expected),
  ...(expected.trailers === undefined ? {} : { trailers }),
  ...(expected.interim === undefined ? {} : { interim }),
})

const appSees = (message: Message | undefined, expected: Result["app"]): Result["app"] =>
  message === undefined || expected === "nothing"
    ? "nothing"
    : shown({ line: message.line, fields: message.fields, text: message.text }, expected)

/** HTTP/2 has no reason phrase (RFC 9113 §8.3.2). */
const withoutReason = ({ line, ...rest }: Seen): Seen =>
  line === undefined ? rest : { ...rest, line: lineOf(Number(line.split(" ")[1])) }

it.each(cases.map((one) => [one.title, one] as const))(
  "%s",
  async (title, { request, responds, expected: same }: HostCase) => {
    const expected = { ...same, ...differences[title]?.expected }
    app.script = responds ?? ok()
    const response = await ask(request)
    expect(appSees(app.requests[0], expected.app)).toEqual(expected.app)
    expect(clientSees(response, expected.client)).toEqual(withoutReason(expected.client))
  },
)

it("differs only in cases that there are", () => {
  const titles = cases.map(({ title }) => title)
  expect(Object.keys(differences).filter((title) => !titles.includes(title))).toEqual([])
})
