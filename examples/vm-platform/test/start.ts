import { spawnSync } from "node:child_process"
import { randomInt } from "node:crypto"
import { mkdtemp, rm } from "node:fs/promises"
import { request } from "node:http"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { freePort } from "../../../test/free-port.ts"
import type { PlatformOptions } from "../src/platform.ts"

/** What ends the name of a group that needs it, so that the last screen says why it is skipped. */
export const lacking: string =
  spawnSync("caddy", ["version"], { stdio: "ignore" }).status !== 0
    ? ": no caddy is installed"
    : process.platform !== "linux"
      ? ": only Linux has all of 127.0.0.0/8"
      : ""

export const token = "operator-0123456789"

/** An address of this computer that nobody else uses: machines all listen on the documented port. */
export const anAddress = (): string => `127.${randomInt(1, 255)}.${randomInt(255)}.${randomInt(1, 255)}`

/** Options of a platform in a folder of its own, on free ports. */
export const testOptions = async (machines: Readonly<Record<string, string>>) => {
  const folder = await mkdtemp(join(tmpdir(), "vm-platform-"))
  const [control, visitors, admin, dns] = await Promise.all([freePort(), freePort(), freePort(), freePort()])
  const options: PlatformOptions = { folder, ports: { control, visitors, admin, dns }, tokens: [{ token }], machines }
  return { ...options, remove: () => rm(folder, { recursive: true, force: true }) }
}

/** One visit on a connection of its own: the machine that responded, or the status. Rejects with what the connection ends with. */
export const visit = (port: number, hostname: string): Promise<string> =>
  new Promise((resolve, reject) => {
    const outgoing = request({ host: "127.0.0.1", port, agent: false, headers: { host: hostname } })
    outgoing.on("error", reject)
    outgoing.on("response", (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
      response.on("error", reject)
      response.on("end", () => resolve(/Welcome to (\S+?)</.exec(body)?.[1] ?? `${response.statusCode} ${body}`))
    })
    outgoing.end()
  })

/** An ingress that leads one hostname to a machine, in the words that hypeman documents. */
export const leading = (hostname: string, instance: string, name = "my-api-ingress") => ({
  name,
  rules: [{ match: { hostname, port: 80 }, target: { instance, port: 8080 } }],
})

/** A call of the API, as a client of either form makes it. */
export const call = async (port: number, method: string, path: string, body?: unknown) => {
  const response = await fetch(`http://127.0.0.1:${port}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json", connection: "close" },
    ...(body === undefined ? {} : { body: typeof body === "string" ? body : JSON.stringify(body) }),
  })
  const text = await response.text()
  return { status: response.status, body: text === "" ? undefined : JSON.parse(text) }
}
