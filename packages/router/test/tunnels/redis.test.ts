import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { freePort } from "../../../../test/free-port.ts"
import { machine, signing } from "../../../machine-proxy/test/harness.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { startMachine } from "../hosts/hosts.ts"
import { noRedis, startRedis } from "../published/redis-server.ts"
import { forwardTo, stopForwards } from "./forwarded.ts"
import { routerFor } from "./router.ts"

const run = promisify(execFile)

describe.skipIf(noRedis !== "")(`Redis behind a port that speaks tcp${noRedis}`, () => {
  const closing: (() => unknown)[] = []
  let local: number
  beforeAll(async () => {
    const port = await freePort()
    const redis = await startRedis({ port })
    const proxy = await startMachine()
    const ports = { [port]: { protocol: "tcp" as const } }
    const host = await serveNode(
      routerFor({ machine, origin: { port: proxy.port }, signingKey: signing, ports }),
    ).listen({ hostname: "127.0.0.1" })
    closing.push(
      () => redis.close(),
      () => proxy.close(),
      () => host.close({ deadlineMs: 0 }),
    )
    local = (await forwardTo(port, host.port)).port
  })
  afterAll(async () => {
    stopForwards()
    for (const close of closing.toReversed()) await close()
  })

  const cli = async (...args: readonly string[]): Promise<string> =>
    (await run("redis-cli", ["-h", "127.0.0.1", "-p", String(local), ...args])).stdout

  it("keeps what redis-cli sets, and answers a hundred of its clients at once", async () => {
    const value = "v".repeat(100_000)
    expect(await cli("set", "key", value)).toBe("OK\n")
    expect(await cli("get", "key")).toBe(`${value}\n`)
    expect(await cli("-r", "100", "incr", "count")).toMatch(/\b100\n$/)
    const many = "-c 100 -n 2000 -t ping_mbulk --csv".split(" ")
    const { stdout } = await run("redis-benchmark", ["-h", "127.0.0.1", "-p", String(local), ...many])
    expect(stdout).toContain('"PING_MBULK"')
  })
})
