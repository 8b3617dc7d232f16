/** Programs that people use, through a router that terminates nothing. */
import { execFile, execFileSync, spawn } from "node:child_process"
import { once } from "node:events"
import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:https"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, describe, expect, it, onTestFinished } from "vitest"
import { noRedis } from "../published/redis-server.ts"
import { certificate, listening, startHost, startTlsApp, tcpRecord } from "./harness.ts"

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), "tcp-programs-"))
const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")]
writeFileSync(key, certificate.key)
writeFileSync(cert, certificate.cert)
afterAll(() => rmSync(folder, { recursive: true }))

const has = (name: string): boolean => {
  try {
    execFileSync(name, ["--version"], { stdio: "ignore" })
    return true
  } catch {
    return false
  }
}

it("openssl s_client sees the app's own certificate, in TLS 1.2 and 1.3", async () => {
  const app = await startTlsApp()
  const { host } = startHost({ "p:misha": tcpRecord("mach_1", app) })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  for (const version of ["-tls1_2", "-tls1_3"]) {
    const args = ["-connect", `127.0.0.1:${port}`, "-servername", "misha.iterate.app", version, "-CAfile", cert]
    const client = run("openssl", ["s_client", ...args, "-verify_return_error", "-alpn", "echo", "-ign_eof", "-brief"])
    client.child.stdin?.write("hello\n")
    client.child.stdout?.on("data", (text: string) => {
      if (text.includes("hello")) client.child.kill()
    })
    const { stdout } = await client.catch((error: { readonly stdout: string }) => error)
    expect(stdout).toBe("echo\nhello\n")
  }
})

it("curl, by its --connect-to, reaches an app that terminates TLS itself", async () => {
  const server = createServer(certificate, (request, response) => response.end(`for ${request.headers.host}`))
  onTestFinished(() => {
    server.close()
    server.closeAllConnections()
  })
  const { host } = startHost({ "p:misha": tcpRecord("mach_1", await listening(server)) })
  const { port } = await host.listen({ hostname: "127.0.0.1" })
  const to = `misha.iterate.app:443:127.0.0.1:${port}`
  const args = ["-sS", "--cacert", cert, "--connect-to", to, "https://misha.iterate.app/"]
  expect((await run("curl", args)).stdout).toBe("for misha.iterate.app")
})

describe.skipIf(noRedis !== "" || !has("redis-cli"))(`Redis${noRedis}`, () => {
  it("with TLS is found by its name", async () => {
    // A port that was free a moment ago.
    const probe = createServer(certificate)
    const app = await listening(probe)
    probe.close()
    await once(probe, "close")
    const tls = ["--tls-port", `${app}`, "--tls-cert-file", cert, "--tls-key-file", key, "--tls-auth-clients", "no"]
    const settings = ["--port", "0", "--bind", "127.0.0.1", "--save", "", "--dir", folder, ...tls]
    const redis = spawn("redis-server", settings, { stdio: ["ignore", "pipe", "ignore"] })
    onTestFinished(async () => {
      redis.kill("SIGKILL")
      if (redis.exitCode === null && redis.signalCode === null) await once(redis, "exit")
    })
    for await (const text of redis.stdout) if (String(text).includes("Ready to accept connections")) break
    const { host } = startHost({ "p:misha": tcpRecord("mach_1", app) })
    const { port } = await host.listen({ hostname: "127.0.0.1" })
    const cli = (...words: readonly string[]) =>
      run("redis-cli", [
        "-h",
        "127.0.0.1",
        "-p",
        `${port}`,
        "--tls",
        "--cacert",
        cert,
        "--sni",
        "misha.iterate.app",
        ...words,
      ])
    expect((await cli("set", "a", "x".repeat(50_000))).stdout).toBe("OK\n")
    expect((await cli("get", "a")).stdout).toBe(`${"x".repeat(50_000)}\n`)
    const other = run("redis-cli", [
      "-h",
      "127.0.0.1",
      "-p",
      `${port}`,
      "--tls",
      "--cacert",
      cert,
      "--sni",
      "nobody.iterate.app",
      "ping",
    ])
    await expect(other).rejects.toThrow("nobody.iterate.app")
  })
})
