/** The adapter for containers with the vendor's own classes, `Container` and `Sandbox`, in workerd. */
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { everything, onlyInAll } from "../../../test/requirements.ts"
import { startWorker } from "./runtimes.ts"
import type { RunningWorker } from "./runtimes.ts"
import type { Asked, Outcome } from "./vendor-containers-worker.ts"

const start = (...flags: readonly string[]): Promise<RunningWorker> =>
  startWorker("vendor-containers-worker.ts", {
    durableObjects: {
      CONTAINER: { className: "VendorContainer", useSQLite: true },
      SANDBOX: { className: "VendorSandbox", useSQLite: true },
    },
    // `Sandbox` needs the first one.
    compatibilityFlags: ["nodejs_compat", ...flags],
  })

let worker: RunningWorker
let withoutFlags: RunningWorker
beforeAll(async () => {
  worker = await start("enable_request_signal", "request_signal_passthrough", "enable_abortsignal_rpc")
  withoutFlags = await start()
}, 60_000)
afterAll(() => Promise.all([worker.dispose(), withoutFlags.dispose()]))

const ask = async (asked: Omit<Asked, "name"> & Partial<Asked>, { url } = worker): Promise<Outcome> => {
  const response = await fetch(url, { method: "POST", body: JSON.stringify({ name: "m1", ...asked }) })
  if (!response.ok) throw new Error(await response.text())
  return (await response.json()) as Outcome
}

describe.each([
  ["CONTAINER", "cloudflareContainer"],
  ["SANDBOX", "cloudflareContainer"],
  ["SANDBOX", "cloudflareSandbox"],
] as const)("vendors.md 1: behind the class of a %s, by %s", (kind, by) => {
  it.each([
    ["GET", "/hello", undefined],
    ["GET", "/proxy/22/x", undefined],
    ["POST", "/api/execute", '{"command":"id"}'],
  ])("%s %s reaches the machine's proxy and no other port", async (method, path, body) => {
    const { arrived, outcome } = await ask({
      kind,
      by,
      path,
      init: { method, ...(body === undefined ? {} : { body }) },
    })
    expect(arrived).toMatchObject([{ port: 8080, method, path, body: body ?? "" }])
    expect(outcome).toBe(200)
  })

  it("a WebSocket reaches the machine's proxy and no other port", async () => {
    const init = { headers: { upgrade: "websocket" } }
    const { arrived, outcome } = await ask({ kind, by, path: "/proxy/22/x", init })
    expect(arrived).toMatchObject([{ port: 8080, path: "/proxy/22/x" }])
    expect(outcome).toBe(101)
  })

  it.each([{}, { upgrade: "websocket" }])("what the class acts on is not taken from a client: %j", async (more) => {
    const init = {
      headers: {
        ...more,
        "cf-container-target-port": "22",
        "x-sandbox-name": "other",
        "x-sandbox-preview-proxy": "1",
        "x-sandbox-preview-port": "22",
        "x-sandbox-preview-token": "t",
        "x-sandbox-preview-sandbox-id": "s",
      },
    }
    const { arrived } = await ask({ kind, by, path: "/", init })
    expect(arrived).toMatchObject([{ port: 8080 }])
    expect(arrived[0]!.names.filter((name) => name.startsWith("x-sandbox-"))).toEqual([])
  })

  it("a request passes without the flag for signals", async () => {
    const asked: Asked = { kind, by, name: "m1", path: "/", init: { method: "POST", body: "x" } }
    expect(await ask(asked, withoutFlags)).toMatchObject({ outcome: 200, arrived: [{ port: 8080, body: "x" }] })
  })

  it("the container sees that a client leaves before its response", async () => {
    expect(await ask({ kind, by, path: "/never", leaves: true })).toMatchObject({ disconnected: true, arrived: [{}] })
  })
})

describe("the vendor's own getSandbox and cloudflareSandbox", () => {
  it.each<readonly [string, string, RequestInit]>([
    ["a GET", "/hello?a=1", {}],
    ["a POST", "/api/execute", { method: "POST", body: "x" }],
    ["a WebSocket", "/proxy/22/x", { headers: { upgrade: "websocket" } }],
  ])("send %s to the same object, port and path", async (_, path, init) => {
    const said = async (by: Asked["by"]) => {
      const { arrived, outcome } = await ask({ kind: "SANDBOX", by, path, init })
      return { outcome, arrived: arrived.map(({ port, method, path, body }) => [port, method, path, body]) }
    }
    expect(await said("cloudflareSandbox")).toEqual(await said("getSandbox"))
  })

  it("lead to one sandbox only: an id in upper case, which would be another object, is refused", async () => {
    const asked = { kind: "SANDBOX", by: "cloudflareSandbox", path: "/", name: "UPPER" } as const
    expect(await ask(asked)).toMatchObject({ outcome: "MachineRecordInvalid", arrived: [] })
  })
})

describe("a sandbox whose class responds itself", () => {
  const asked = { kind: "SANDBOX", by: "cloudflareSandbox", path: "/", init: { method: "POST", body: "x" } } as const

  it("is starting, if its port does not listen in the class's time", async () => {
    expect(await ask({ ...asked, name: "slow" })).toMatchObject({ outcome: "MachineStarting", arrived: [] })
  })

  it("is unavailable, if there is no instance for it", async () => {
    const { outcome, detail, arrived } = await ask({ ...asked, name: "full" })
    expect([outcome, arrived]).toEqual(["ProviderUnavailable", []])
    expect(detail).toMatch(/capacity$/)
  })
})

// The class waits 20 s for the port.
describe.skipIf(!everything)(
  `vendors.md 2: a container that is slow to listen${onlyInAll}`,
  { timeout: 60_000 },
  () => {
    it("is starting", async () => {
      const slow = { kind: "CONTAINER", by: "cloudflareContainer", name: "slow", path: "/" } as const
      const { outcome, arrived } = await ask({ ...slow, init: { method: "POST" } })
      expect([outcome, arrived]).toEqual(["MachineStarting", []])
    })
  },
)
