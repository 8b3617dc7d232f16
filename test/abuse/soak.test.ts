import { execFile } from "node:child_process"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { judge, unexplained } from "../../scripts/soak/judge.ts"
import type { Finding, Outcome } from "../../scripts/soak/judge.ts"
import { tenantsOf } from "../../scripts/soak/tenant.ts"
import { tokenFor } from "../../scripts/soak/token.ts"
import { runTraffic } from "../../scripts/soak/traffic.ts"
import { everything, onlyInAll } from "../requirements.ts"
import { hostileResponses } from "./hostile-root.ts"

const root = join(import.meta.dirname, "../..")
const soak = (...options: readonly string[]) =>
  promisify(execFile)(process.execPath, ["--conditions=@project-ingress/source", "scripts/soak.ts", ...options], {
    cwd: root,
  })

describe("a soak", () => {
  const tenants = tenantsOf(8, false)
  const [honest, hostile] = tenants
  const sent = { tenant: honest!, kind: "get", token: tokenFor(0, 7) }
  const said = { status: 200, code: undefined, whole: true }

  it.each<readonly [string, string, Outcome]>([
    ["its own response", "tenant-0 t0n7z", "responded"],
    ["that of another request of the tenant", "tenant-0 t0n8z", "crossed"],
    ["another token beside its own", "tenant-0 t0n7z t1n8z", "crossed"],
    ["another tenant's name", "tenant-0 t0n7z tenant-1", "crossed"],
    ["a response that nobody asked for", "SMUGGLED tenant-0 t0n7z", "crossed"],
    ["nothing of its own", "hello", "crossed"],
  ])("takes %s for what it is", (_, text, outcome) => {
    expect(judge(sent, { ...said, text })).toBe(outcome)
  })

  it.each<readonly [string, string, Outcome]>([
    ["its own response", "tenant-1 t1n7z", "hostile"],
    ["that of another request of the tenant", "tenant-1 t1n5z", "desynced"],
    ["a response that nobody asked for", "SMUGGLED tenant-1 t1n7z", "desynced"],
    ["nothing of its own", "hello", "desynced"],
    ["another tenant's response", "tenant-0 t0n5z", "crossed"],
  ])("takes a hostile tenant's response to its own visitor, %s, for what it is", (_, text, outcome) => {
    expect(judge({ tenant: hostile!, kind: "get", token: tokenFor(1, 7) }, { ...said, text })).toBe(outcome)
  })

  it("explains what another request of the same hostile tenant was given by a late response, and by nothing else", () => {
    const late = hostileResponses.findIndex(({ late }) => late === true)
    const found = (n: number, other: number): Finding => {
      const text = `tenant-1 ${tokenFor(1, other)}`
      return { sent: { tenant: hostile!, kind: "get", token: tokenFor(1, n) }, outcome: "desynced", text }
    }
    // The second request had the late response, the third had the second's.
    const chain = [found(late + 2, late), found(late + 3, late + 2)]
    expect(unexplained(chain)).toEqual([])
    const other = found(late + 5, late + 4)
    expect(unexplained([...chain, other, { ...other, text: "hello" }])).toEqual([other, { ...other, text: "hello" }])
  })

  it("sees a proxy that gives each request the response to the one before", async () => {
    let last = "tenant-0 t0n0z"
    const server = createServer((socket) => {
      socket.on("error", () => undefined)
      socket.on("data", (data) => {
        const token = /^x-token: (\S+)/im.exec(data.toString("latin1"))?.[1]
        if (token === undefined) return
        socket.end(`HTTP/1.1 200 OK\r\nContent-Length: ${last.length}\r\n\r\n${last}`)
        last = `tenant-${/^t(\d+)/.exec(token)?.[1]} ${token}`
      })
    }).listen(0, "127.0.0.1")
    await new Promise((resolve) => server.once("listening", resolve))
    const { port } = server.address() as AddressInfo
    const found: Outcome[] = []
    const target = { routerPort: port, appPort: 1 }
    await runTraffic(target, tenantsOf(8, true), { count: 100, rate: 1_000 }, (outcome) => found.push(outcome))
    server.close()
    expect(found.filter((outcome) => outcome === "crossed").length).toBeGreaterThan(50)
  })

  it("refuses a way that there is not", async () => {
    await expect(soak("--by", "pigeon")).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("--by must be sockets, http2, mount"),
    })
  })

  it.each([
    ["--requests", "0"],
    ["--tenants", "1001"],
    ["--rate", "fast"],
  ])("refuses %s %s and says what it accepts", async (...options) => {
    await expect(soak(...options)).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining("an integer from 1 to"),
    })
  })
})

describe.skipIf(!everything)(`a long soak${onlyInAll}`, { timeout: 900_000 }, () => {
  it.each([
    ["12000", "sockets"],
    ["4000", "http2"],
    ["4000", "mount"],
  ])("of %s requests over 100 tenants by %s crosses none", async (requests, by) => {
    const { stdout } = await soak("--requests", requests, "--by", by)
    expect(stdout).toMatch(new RegExp(`${requests} of ${requests}, .* crossed 0, desynced \\d+\\n`))
    expect(stdout).toMatch(/; 0 otherwise\n/)
    expect(stdout).toMatch(/\npassed: nothing crossed\n$/)
  })

  // Resident memory holds what V8 keeps for itself, which differs by up to 5 KiB a socket from run to run: the smallest counts.
  it(
    "of 9 000 idle WebSockets costs the machine proxy 9 KiB each at most, and the router 12 KiB",
    { retry: 2 },
    async () => {
      const { stdout } = await soak("--idle-websockets", "9000")
      expect(stdout).toMatch(/^9000 WebSockets open and silent/)
      expect(stdout).toMatch(/\npassed: nothing crossed\n$/)
    },
  )
})
