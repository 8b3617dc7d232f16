import { defaultHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { cloudflareContainer } from "../src/adapters/cloudflare/container.ts"
import type { ContainerNamespace, ContainerStub } from "../src/adapters/cloudflare/container.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine } from "../src/contract/machine-provider.ts"

const signal = new AbortController().signal
const machine: Machine = { id: "mach_1", type: "cloudflare-container", externalId: "m1", metadata: {} }

interface Asked {
  readonly name: string
  readonly request: Request
  /** Of `containerFetch`. */
  readonly port?: number
}

/** An error of `Sandbox`. */
const sandbox = (code: string): string => JSON.stringify({ code, message: "…", context: { phase: "startup" } })

/** A binding whose objects answer what the test wants, and what they were asked. */
const binding = (stub: Partial<ContainerStub> = {}) => {
  const asked: Asked[] = []
  const app = async () => new Response("app", { headers: { [defaultHeaderNames.stamp]: "1" } })
  const namespace: ContainerNamespace = {
    getByName: (name) => ({
      ...stub,
      fetch: (request) => {
        asked.push({ name, request })
        return app()
      },
      containerFetch: (request, port) => {
        asked.push({ name, request, port })
        return app()
      },
    }),
  }
  return { namespace, asked }
}

describe("a container of Cloudflare", () => {
  it("is reached through its object, by name and port", async () => {
    const { namespace, asked } = binding()
    const answer = await machineFetcher(cloudflareContainer(namespace), machine)(new Request("https://app.test/a?b"))
    expect(await answer.text()).toBe("app")
    expect(asked.map(({ name, request, port }) => [name, request.url, port])).toEqual([
      ["m1", "http://container.invalid/a?b", 8080],
    ])
  })

  it("cannot be led past its machine's proxy by a client's own port", async () => {
    const { namespace, asked } = binding()
    const request = new Request("https://app.test/", { headers: { "cf-container-target-port": "22" } })
    await machineFetcher(cloudflareContainer(namespace, { proxyPort: 9090 }), machine)(request)
    expect(asked).toMatchObject([{ port: 9090 }])
    expect(asked[0]!.request.headers.get("cf-container-target-port")).toBeNull()
  })

  it.each<[number, string, unknown]>([
    [429, "rate limited", { _tag: "ProviderRateLimited" }],
    [503, "There is no Container instance available at this time.\nThis is likely", { reason: "capacity" }],
    [500, "Failed to start container: no such image", { _tag: "MachineNotRunning", state: "not able to start" }],
    [500, "Failed to start container: container exited with unexpected exit code: 1", { _tag: "MachineNotRunning" }],
    [500, "Container suddenly disconnected, try again", { _tag: "MachineStarting" }],
    // vendors.md 2: it waited 20 s for the port, so the container runs.
    ...[
      "the container is not listening in the TCP address 10.0.0.1:8080",
      "connection refused: container port 8080",
      "Container did not start after 8100ms",
      "Network connection lost.",
      "The operation was aborted due to timeout",
      "Container request aborted.",
    ].map((why): [number, string, string] => [500, `Failed to start container: ${why}`, "check-status"]),
    // `Sandbox`.
    [503, sandbox("CONTAINER_UNAVAILABLE"), { _tag: "ProviderUnavailable", reason: "capacity" }],
    [503, sandbox("INTERNAL_ERROR"), { _tag: "MachineStarting", retryAfterMs: 3_000 }],
    [500, sandbox("INTERNAL_ERROR"), { _tag: "MachineNotRunning", state: "not able to start" }],
    [500, JSON.stringify({ code: "INTERNAL_ERROR", message: "x" }), "check-status"],
    [520, "Origin is disallowed", "check-status"],
    [500, "Error proxying request to container: x", "check-status"],
    [404, "", { _tag: "ProviderUnavailable", reason: "HTTP 404 without the stamp of the machine's proxy" }],
  ])("that answers %i %j itself is %j", (status, body, verdict) => {
    const said = cloudflareContainer(binding().namespace).classify!(
      { status, body, header: (name) => (name === "retry-after" ? "3" : undefined) },
      machine,
    )
    expect({ said }).toMatchObject({ said: verdict })
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
    expect(await cloudflareContainer(namespace).status!(machine, { signal })).toEqual({ state, detail: status })
  })

  it("of a class without a state is unknown", async () => {
    expect(await cloudflareContainer(binding().namespace).status!(machine, { signal })).toEqual({ state: "unknown" })
  })

  it.each([0, 65_536, 1.5, Number.NaN])("has a port that is one, and not %d", (proxyPort) => {
    expect(() => cloudflareContainer(binding().namespace, { proxyPort })).toThrow(
      "cloudflareContainer: proxyPort must be an integer",
    )
  })

  it("needs a name", async () => {
    const resolved = cloudflareContainer(binding().namespace).resolve(
      { ...machine, externalId: "" },
      { port: 3000, signal },
    )
    await expect(resolved).rejects.toMatchObject({ _tag: "MachineRecordInvalid", field: "externalId" })
  })
})
