import { defaultHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { cloudflareSandbox } from "../src/adapters/cloudflare/sandbox.ts"
import type { ContainerNamespace, ContainerStub } from "../src/adapters/cloudflare/sandbox.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

const { signal } = new AbortController()
const machine: Machine = { id: "mach_1", type: "cloudflare-sandbox", externalId: "s1", metadata: {} }

interface Called {
  readonly method: "fetch" | "containerFetch"
  readonly id: string
  readonly request: Request
  readonly port: number | string | null
}

/** A binding whose objects respond as an app behind a machine proxy, and what they were called with. */
const binding = (stub: Partial<ContainerStub> = {}) => {
  const called: Called[] = []
  const respond = async () => new Response("app", { headers: { [defaultHeaderNames.stamp]: "1" } })
  const namespace: ContainerNamespace = {
    getByName: (id) => ({
      fetch: (request) => {
        called.push({ method: "fetch", id, request, port: request.headers.get("cf-container-target-port") })
        return respond()
      },
      containerFetch: (request, port) => {
        called.push({ method: "containerFetch", id, request, port })
        return respond()
      },
      ...stub,
    }),
  }
  return { namespace, called }
}

const verdict = (status: number, body: unknown, retryAfter?: string) =>
  cloudflareSandbox(binding().namespace).classify!(
    { status, body: JSON.stringify(body), header: (name) => (name === "retry-after" ? retryAfter : undefined) },
    machine,
  )
const startup = { phase: "startup", error: "…" }

describe("a sandbox of Cloudflare", () => {
  it("is reached by containerFetch with the machine proxy's port", async () => {
    const { namespace, called } = binding()
    const fetcher = machineFetcher(cloudflareSandbox(namespace), machine)
    expect(await (await fetcher(new Request("https://app.test/a?b"))).text()).toBe("app")
    expect(called).toMatchObject([
      { method: "containerFetch", id: "s1", port: 8080, request: { url: "http://container.invalid/a?b" } },
    ])
  })

  it("gets a handshake by fetch, with the port in the field that the class obeys", async () => {
    const { namespace, called } = binding()
    const { fetch } = await cloudflareSandbox(namespace, { proxyPort: 9090 }).resolve(machine, { port: 3000, signal })
    await fetch!(new Request("http://container.invalid/", { headers: { upgrade: "websocket" } }))
    expect(called).toMatchObject([{ method: "fetch", id: "s1", port: "9090" }])
  })

  it.each([
    ["CONTAINER_UNAVAILABLE", 503, { reason: "no_container_instance_available" }, "10", { reason: "capacity" }],
    ["INTERNAL_ERROR", 503, startup, "3", { _tag: "MachineStarting", retryAfterMs: 3_000 }],
    ["INTERNAL_ERROR", 503, startup, "5", { _tag: "MachineStarting", retryAfterMs: 5_000 }],
    ["INTERNAL_ERROR", 500, startup, undefined, { _tag: "MachineNotRunning", state: "not able to start" }],
    ["INTERNAL_ERROR", 500, {}, undefined, "check-status"],
    ["INVALID_TOKEN", 404, {}, undefined, { reason: "HTTP 404 without the stamp of the machine's proxy" }],
    ["STALE_PREVIEW_URL", 410, {}, undefined, { reason: "HTTP 410 without the stamp of the machine's proxy" }],
  ])("whose class responds %s with %i and %j means %j after %s", (code, status, context, retryAfter, meaning) => {
    expect({ verdict: verdict(status, { code, context, message: "…" }, retryAfter) }).toMatchObject({
      verdict: meaning,
    })
  })

  it("that waited 20 s for its port is starting, if its class says so", () => {
    const body = "Failed to start container: the container is not listening in the TCP address 10.0.0.1:8080"
    const provider = cloudflareSandbox(binding().namespace)
    expect(provider.classify!({ status: 500, body, header: () => undefined }, machine)).toBe("check-status")
  })

  it.each([
    ["healthy", "running"],
    ["running", "starting"],
    ["stopping", "stopping"],
    ["stopped", "stopped"],
    ["stopped_with_code", "stopped"],
    ["constructor", "unknown"],
  ])("that its class calls %s is %s", async (status, state) => {
    const { namespace } = binding({ getState: async () => ({ status }) })
    expect(await cloudflareSandbox(namespace).status!(machine, { signal })).toEqual({ state, detail: status })
  })

  it.each(["", "S1", "sandboX", "-s", "s-", "a".repeat(64), "www", "cloudflare"])(
    "has an id that getSandbox would lead to, and not %j",
    async (externalId) => {
      const { namespace, called } = binding({ getState: async () => ({ status: "healthy" }) })
      const provider = cloudflareSandbox(namespace)
      const refused = { _tag: "MachineRecordInvalid", field: "externalId" }
      await expect(provider.resolve({ ...machine, externalId }, { port: 80, signal })).rejects.toMatchObject(refused)
      await expect(provider.status!({ ...machine, externalId }, { signal })).rejects.toMatchObject(refused)
      expect(called).toEqual([])
    },
  )

  it.each([80, 1023, 3000, 65_536, 1.5, "8080"])(
    "has a machine proxy on a port that the class allows, not %j",
    (port) => {
      expect(() => cloudflareSandbox(binding().namespace, { proxyPort: port as number })).toThrow(
        "cloudflareSandbox: proxyPort must be an integer from 1024 to 65535, and not 3000",
      )
    },
  )
})
