import type { VisitorRequest } from "./sender.ts"

/** How a request is explained. */
export interface ExplainOptions {
  /**
   * True: policies that are `explainable` are asked, as about a request. Default: true for a `Request`, false for a hostname, of which
   * policies know too little.
   */
  readonly policies?: boolean
  /** True: the machine's provider is asked for its status: one call, within the budgets of requests. Default false. */
  readonly status?: boolean
}

/** What else the decisions may depend on: rules on all of it, replicas on the address, `d:<port>:` keys on the port. */
export interface ExplainedRequest extends ExplainOptions {
  /** Default `GET`. */
  readonly method?: string
  /** Default `/`. */
  readonly path?: string
  readonly headers?: Readonly<Record<string, string>>
  /** Default `https`. */
  readonly scheme?: "http" | "https"
  /** The visitor's IP address. Default: none is known, so that any replica may be chosen. */
  readonly clientAddress?: string
  /** The port of the listening socket. */
  readonly localPort?: number
}

/** A request that nobody made. */
export const imaginedRequest = (hostname: string, asked: ExplainedRequest): VisitorRequest => {
  const { method = "GET", path = "/", headers = {}, scheme = "https", clientAddress, localPort } = asked
  const fields = Object.entries(headers)
  return {
    host: hostname,
    method,
    path,
    headers: fields.flat(),
    scheme,
    clientAddress,
    localPort,
    upgrade: method === "GET" && fields.some(([name, value]) => /^upgrade$/i.test(name) && /^websocket$/i.test(value)),
    signal: new AbortController().signal,
  }
}
