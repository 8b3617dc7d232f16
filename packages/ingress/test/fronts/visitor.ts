import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync } from "node:fs"
import { request as requestHttp } from "node:http"
import { request as requestHttps } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import type { FrontOutcome, FrontRequest } from "../../src/testing/fronts/front-case.ts"

/** Sends a request to a front on loopback. `ports`: where it listens, by the port that visitors connect to. */
export const sendTo = async (request: FrontRequest, ports: Readonly<Record<number, number>>): Promise<FrontOutcome> => {
  const { host = "127.0.0.1", path = "/", method = "GET", headers = {}, tls = false } = request
  const port = ports[request.port ?? (tls ? 443 : 80)]
  if (port === undefined) throw new Error(`the front does not listen on ${request.port}`)
  const send = tls ? requestHttps : requestHttp
  return new Promise((resolve, reject) => {
    const servername = host.replace(/:\d+$/, "")
    const sent = send(
      {
        host: "127.0.0.1",
        port,
        path,
        method,
        headers: { host, ...headers },
        agent: false,
        ...(tls ? { servername, rejectUnauthorized: false } : {}),
      },
      (response) => {
        const chunks: Buffer[] = []
        response.on("data", (chunk: Buffer) => chunks.push(chunk))
        response.on("end", () => resolve(outcomeOf(response.statusCode ?? 0, response.headers, Buffer.concat(chunks))))
        response.on("error", reject)
      },
    )
    sent.on("error", reject)
    sent.end()
  })
}

const outcomeOf = (status: number, fields: NodeJS.Dict<string | readonly string[]>, body: Buffer): FrontOutcome => {
  const headers = Object.fromEntries(Object.entries(fields).map(([name, value]) => [name, String(value)]))
  const { location } = headers
  const isTarget = status === 200 && headers["content-type"] === "application/json"
  const said = isTarget ? (JSON.parse(body.toString()) as { target: string; seen: Record<string, string> }) : undefined
  return { status, headers, ...(location === undefined ? {} : { location }), ...said }
}

/** A certificate of nobody, for tests of one process. */
export const selfSigned = (name = "app.example.com"): { readonly key: string; readonly cert: string } => {
  const folder = mkdtempSync(join(tmpdir(), "certificate-"))
  try {
    const [key, cert] = [join(folder, "key"), join(folder, "cert")]
    const subject = ["-subj", `/CN=${name}`, "-addext", `subjectAltName=DNS:${name},DNS:*.example.com`]
    const made = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    execFileSync("openssl", [...made, "-keyout", key, "-out", cert, ...subject], { stdio: "ignore" })
    return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") }
  } finally {
    rmSync(folder, { recursive: true })
  }
}
