import { spawn } from "node:child_process"
import { once } from "node:events"
import { openSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { join } from "node:path"
import { describe, expect, it } from "vitest"
import { startSoakChain } from "../../scripts/soak/chain.ts"
import type { Outcome } from "../../scripts/soak/judge.ts"
import { tenantsOf } from "../../scripts/soak/tenant.ts"
import { runTraffic } from "../../scripts/soak/traffic.ts"
import { RawClient } from "./raw-client.ts"

describe("a process that is killed under load", () => {
  it.each(["apps", "machines", "router"] as const)(
    "%s: each post comes once at most, failures are typed, and the next request after its start is served",
    async (victim) => {
      const tenants = tenantsOf(8, true)
      await using chain = await startSoakChain(tenants, 20_000)
      const outcomes: Outcome[] = []
      let restarted: Promise<void> | undefined
      await runTraffic(chain, tenants, { count: 3_000, rate: 1_000 }, (outcome) => {
        outcomes.push(outcome)
        if (outcomes.length === 500) restarted = chain.restart(victim)
      })
      await restarted
      const count = (outcome: Outcome) => outcomes.filter((each) => each === outcome).length
      expect(count("crossed")).toBe(0)
      expect(count("responded")).toBeGreaterThan(100)
      // What is left without a response of any kind broke off in its middle, or was the router's own.
      expect(count("typed error") + count("broken")).toBeGreaterThan(0)
      expect(await chain.appsReport()).toMatchObject({ repeated: 0, strayed: 0 })
      expect(chain.processes.map((process) => process.alive())).toEqual([true, true, true])
      // The traffic's numbers begin again, so that these are new requests to apps that count.
      const later: Outcome[] = []
      await runTraffic(chain, tenants, { count: 200, rate: 1_000, from: 10_000 }, (outcome) => later.push(outcome))
      expect(later.filter((outcome) => outcome !== "responded" && outcome !== "cancelled")).toEqual([])
    },
  )
})

describe("a machine proxy whose log is lost", () => {
  it.each([
    ["on a full disk", "/dev/full"],
    ["by a closed pipe", "pipe"],
  ])("%s, serves on", async (_, log) => {
    const free = createServer().listen(0, "127.0.0.1")
    await once(free, "listening")
    const { port } = free.address() as AddressInfo
    free.close()
    await once(free, "close")
    const bin = join(import.meta.dirname, "../../packages/machine-proxy/src/bin.ts")
    const output = log === "pipe" ? "pipe" : openSync(log, "w")
    const child = spawn(process.execPath, ["--conditions=@project-ingress/source", bin, "--insecure"], {
      env: {
        PATH: process.env["PATH"],
        HOST: "127.0.0.1",
        PORT: String(port),
        INGRESS_MACHINE: "m",
      },
      stdio: ["ignore", output, output],
    })
    const exited = once(child, "exit")
    child.stdout?.destroy()
    child.stderr?.destroy()
    try {
      let responses = 0
      while (responses < 100 && child.exitCode === null) {
        const client = new RawClient(port)
        const text = await client.ask("GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        if (text.startsWith("HTTP/1.1 400 ")) responses++
        else await new Promise((resolve) => setTimeout(resolve, 50))
        client.close()
      }
      expect([responses, child.exitCode, child.signalCode]).toEqual([100, null, null])
    } finally {
      child.kill("SIGKILL")
      await exited
    }
  })
})
