import { request as httpRequest } from "node:http"
import type { IncomingMessage } from "node:http"
import { WebSocket } from "ws"

/** What a visitor asks for. */
export interface Visit {
  readonly host?: string
  readonly method?: string
  readonly body?: string
  readonly headers?: Readonly<Record<string, string>>
}

/** Asks a Worker at `url` as a visitor of a hostname would: by a connection of its own. */
export const visit = (url: string, path: string, asked: Visit = {}): Promise<IncomingMessage> =>
  new Promise((resolve, reject) => {
    const { hostname, port } = new URL(url)
    const { host = "misha.iterate.app", method = "GET", body, headers } = asked
    httpRequest({ hostname, port, path, method, headers: { host, ...headers }, agent: false }, resolve)
      .on("error", reject)
      .end(body)
  })

export const bytesOf = async (response: IncomingMessage): Promise<Buffer> => {
  const all: Buffer[] = []
  for await (const chunk of response) all.push(chunk as Buffer)
  return Buffer.concat(all)
}

export const textOf = async (response: IncomingMessage): Promise<string> => (await bytesOf(response)).toString()

/** Opens a WebSocket of the protocol `echo`. */
export const openSocket = async (url: string, host = "misha.iterate.app"): Promise<WebSocket> => {
  const socket = new WebSocket(url.replace("http", "ws"), ["echo"], { headers: { host } })
  await new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject))
  return socket
}

/** What comes back for a message. */
export const echoOf = (socket: WebSocket, message: string): Promise<string> =>
  new Promise((resolve) => {
    socket.once("message", (data: Buffer) => resolve(data.toString()))
    socket.send(message)
  })

/** Calls an operation of the control plane: its status and, where there is one, its body. */
export const callControlPlane = async (
  url: string,
  operation: `${string} /api/${string}`,
  { token, body, host = "iterate.app" }: { readonly token?: string; readonly body?: object; readonly host?: string },
): Promise<readonly [status: number, body: unknown]> => {
  const [method = "GET", path = "/"] = operation.split(" ")
  const response = await visit(url, path, {
    host,
    method,
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    headers: token === undefined ? {} : { authorization: `Bearer ${token}` },
  })
  const text = await textOf(response)
  return [response.statusCode!, text === "" ? undefined : parsed(text)]
}

const parsed = (text: string): unknown => {
  try {
    return JSON.parse(text)
  } catch {
    return text
  }
}
