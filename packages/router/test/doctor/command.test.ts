import { spawn } from "node:child_process"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { progressLine } from "../../src/commands/progress-line.ts"
import { createConsole } from "../../src/console.ts"
import { setup } from "../fakes.ts"
import { closedPort, Servers } from "./faults.ts"

const command = join(import.meta.dirname, "../../src/command.ts")
const config = join(import.meta.dirname, "config-main.ts")

const run = async (args: readonly string[], env: Record<string, string> = {}) => {
  const flags = ["--conditions=@project-ingress/source", "--no-warnings", command, ...args]
  const child = spawn(process.execPath, flags, { env: { ...process.env, ...env } })
  let out = ""
  let err = ""
  child.stdout.on("data", (data: Buffer) => (out += data.toString()))
  child.stderr.on("data", (data: Buffer) => (err += data.toString()))
  const code = await new Promise<number | null>((resolve) => child.once("close", resolve))
  return { code, out, err }
}

let servers: Servers
beforeEach(() => {
  servers = new Servers()
})
afterEach(() => servers[Symbol.asyncDispose]())

describe("project-ingress explain", () => {
  it("follows a hostname by the router that a module exports, and ends though the module keeps a timer", async () => {
    const { code, out, err } = await run(["explain", "misha.iterate.app", "--config", config])
    expect([code, err]).toEqual([0, ""])
    expect(out).toContain("  attached to machine mach_1, version 1\n  port 3000\n")
    expect(out).toContain("policy look depends on the request")
    expect(out).toMatch(/Sent to the machine, as far as can be said without touching it\.\n$/)
  })

  it("as JSON, for a method and a path, with policies", async () => {
    const more = ["--path", "/api/x", "--method", "POST", "--policies", "--json"]
    const { code, out } = await run(["explain", "misha.iterate.app", "--config", config, ...more])
    const { port, trace } = JSON.parse(out) as { port: number; trace: object[] }
    expect([code, port]).toEqual([0, 9000])
    expect(trace).toContainEqual({ step: "policy", outcome: "look", decision: "passed" })
  })

  it("ends with 1 where it stops", async () => {
    const { code, out } = await run(["explain", "nobody.iterate.app", "--config", config])
    expect([code, out.split("\n").at(-2)]).toEqual([1, "Ends with 404 ROUTE_NOT_FOUND: no route for p:nobody"])
    expect((await run(["explain", "example.com", "--config", config])).code).toBe(1)
  })

  it("asks a router that runs by its console, with the token of the environment", async () => {
    const { router } = setup()
    const ask = createConsole(router, { authorize: ({ headers }) => headers.get("authorization") === "Bearer t0ken" })
    const port = await servers.http((request, response) => {
      const { authorization = "" } = request.headers
      void ask(new Request(`http://localhost${request.url}`, { headers: { authorization } })).then(async (found) =>
        response.writeHead(found.status, [...found.headers].flat()).end(await found.text()),
      )
    })
    const args = ["explain", "4096__misha.iterate.app", "--console", `http://127.0.0.1:${port}/ops`]
    const { code, out } = await run(args, { INGRESS_CONSOLE_TOKEN: "t0ken" })
    expect([code, out.includes("  port 4096\n")]).toEqual([0, true])
    const refused = await run(args, { INGRESS_CONSOLE_TOKEN: "wr0ng" })
    expect(refused).toEqual({ code: 3, out: "", err: "project-ingress: the console responded with 403\n" })
  })
})

describe("project-ingress doctor", () => {
  it("says what it found and what to do, as text and as JSON, and ends by the worst", async () => {
    const url = `http://misha.localhost:${await closedPort()}/`
    const { code, out, err } = await run(["doctor", url])
    expect([code, err]).toEqual([2, ""])
    expect(out).toContain("error    CONNECTION_REFUSED  port 127.0.0.1:")
    expect(out).toMatch(/ {9}→ .+\n1 errors, 0 warnings, 1 ok\n$/)
    const json = await run(["doctor", url, "--json"])
    expect(JSON.parse(json.out)).toEqual({
      url,
      exitCode: 2,
      findings: [
        expect.objectContaining({ level: "ok", code: "DNS_RESOLVES" }),
        {
          level: "error",
          code: "CONNECTION_REFUSED",
          resource: expect.any(String),
          detail: expect.any(String),
          fix: expect.any(String),
        },
      ],
    })
    expect(json.code).toBe(2)
  })

  it("ends with 0 where all is well, at the address that is given, and with 1 for a warning", async () => {
    const { port } = await servers.router()
    const app = await servers.http((_, response) => response.end("hello"))
    const args = [
      "doctor",
      `http://${app}__misha.ingress.test:${port}/`,
      "--address",
      "127.0.0.1",
      "--machine",
      "--timeout",
      "5",
    ]
    const { code, out } = await run(args)
    expect(out).toContain("APP_LISTENS")
    expect(code).toBe(0)
    const failing = await servers.http((_, response) => response.writeHead(500).end())
    expect((await run(["doctor", `http://x.localhost:${failing}/`])).code).toBe(1)
  })
})

describe("input that cannot be used is refused with 3, and named", () => {
  it.each([
    [
      [],
      "explain <hostname>, forward <port> <project>, doctor <url>, generate <folder> or mail-dns <domain>: see --help",
    ],
    [
      ["explain"],
      "explain <hostname>, forward <port> <project>, doctor <url>, generate <folder> or mail-dns <domain>: see --help",
    ],
    [
      ["diagnose", "x"],
      "explain <hostname>, forward <port> <project>, doctor <url>, generate <folder> or mail-dns <domain>: see --help",
    ],
    [
      ["doctor", "a", "b"],
      "explain <hostname>, forward <port> <project>, doctor <url>, generate <folder> or mail-dns <domain>: see --help",
    ],
    [["explain", "x"], "explain needs --config <file> or --console <url>, and not both"],
    [["explain", "x", "--config", "/nowhere.js"], "/nowhere.js cannot be imported"],
    [
      ["explain", "x", "--config", command.replace("command.ts", "errors.ts")],
      "must export router, which is what createRouter returned",
    ],
    [["explain", "x", "--config", config, "--path", "x"], "--path must begin with /"],
    [["explain", "x", "--console", "ftp://x"], "--console must be the http or https URL of a console"],
    [["explain", "x", "--console", "https://user:hunter2@x"], "--console must have no credentials"],
    [
      ["explain", "x", "--console", "http://ops.example.com"],
      "--console must be https, or of this computer, if there is a token",
    ],
    [["explain", "x", "--console", "https://x", "--status"], "--status and --method need --config"],
    [["explain", "x", "--config", config, "--ca", "x"], "--ca is no option of explain"],
    [["doctor", "ftp://x"], "doctor cannot use this URL: its scheme must be https or http"],
    [["doctor", "https://u:hunter2@x"], "it must have no user name and no password"],
    [["doctor", "x", "--timeout", "0"], "--timeout must be a whole number from 1 to 600"],
    [["doctor", "x", "--port", "80"], "--port is the app's port, with --machine only"],
    [["doctor", "x", "--machine", "--port", "1e3"], "--port must be a whole number from 1 to 65535"],
    [["doctor", "x", "--address", "[::1]"], "--address must be an IP address"],
    [["doctor", "x", "--ca", "/nowhere.pem"], "/nowhere.pem"],
    [["doctor", "x", "--config", config], "--config is no option of doctor"],
    [["doctor", "x", "--nosuch"], "--nosuch"],
  ])(
    "%j",
    async (args, expected) => {
      const { code, out, err } = await run(args, { INGRESS_CONSOLE_TOKEN: "hunter2" })
      expect([code, out]).toEqual([3, ""])
      expect(err).toContain(expected)
      expect(err).toMatch(/^project-ingress: .+\n$/)
      expect(err).not.toContain("hunter2")
    },
    60_000,
  )

  it("but --help and --version are not", async () => {
    expect((await run(["--help"])).out).toContain("Exit code: the worst finding")
    expect((await run(["--version"])).out).toMatch(/^\d+\.\d+\.\d+\n$/)
  })
})

it("shows what is going on in one line of a terminal, and nothing anywhere else", () => {
  let written = ""
  const line = (isTTY: boolean) => progressLine({ isTTY, write: (text) => (written += text) })
  line(false).show("DNS")
  line(false).clear()
  expect(written).toBe("")
  const shown = line(true)
  shown.show("DNS")
  shown.show("the port")
  shown.clear()
  expect(written).toBe("\r\u001b[2Klooking at DNS …\r\u001b[2Klooking at the port …\r\u001b[2K")
})
