import { defaultHeaderNames } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { cloudflareContainer } from "../src/adapters/cloudflare/container.ts"
import type { ContainerNamespace, ContainerStub } from "../src/adapters/cloudflare/container.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine } from "../src/contract/machine-provider.ts"

const signal = new AbortController().signal
const machine: Machine = { id: "mach_1", type: "cloudflare-container", externalId: "m1", metadata: {} }

/** A binding whose objects answer what the test wants, and what they were asked. */
const binding = (stub: Partial<ContainerStub> = {}) => {
  const asked: { readonly name: string; readonly request: Request }[] = []
  const namespace: ContainerNamespace = {
    getByName: (name) => ({
      ...stub,
      fetch: async (request) => {
        asked.push({ name, request })
        return (await stub.fetch?.(request)) ?? new Response("app", { headers: { [defaultHeaderNames.stamp]: "1" } })
      },
    }),
  }
  return { namespace, asked }
}

describe("a container of Cloudflare", () => {
  it("is reached through its object, by name", async () => {
    const { namespace, asked } = binding()
    const answer = await machineFetcher(cloudflareContainer(namespace), machine)(new Request("https://app.test/a?b"))
    expect(await answer.text()).toBe("app")
    expect(asked.map(({ name, request }) => [name, request.url])).toEqual([["m1", "http://container.invalid/a?b"]])
  })

  it("cannot be led past its machine's proxy by a client's own port", async () => {
    const { namespace, asked } = binding()
    const request = new Request("https://app.test/", { headers: { "cf-container-target-port": "22" } })
    await machineFetcher(cloudflareContainer(namespace, { proxyPort: 9090 }), machine)(request)
    expect(asked[0]!.request.headers.get("cf-container-target-port")).toBe("9090")
  })

  it.each([
    [429, "rate limited", { _tag: "ProviderRateLimited" }],
    [503, "There is no Container instance available at this time.\nThis is likely", { reason: "capacity" }],
    [500, "Failed to start container: no such image", { _tag: "MachineNotRunning", state: "not able to start" }],
    [500, "Container suddenly disconnected, try again", { _tag: "MachineStarting" }],
    [520, "Origin is disallowed", "check-status"],
    [500, "Error proxying request to container: x", "check-status"],
    [404, "", { _tag: "ProviderUnavailable", reason: "HTTP 404 without the stamp of the machine's proxy" }],
  ])("that answers %i %j itself is %j", (status, body, verdict) => {
    const said = cloudflareContainer(binding().namespace).classify!({ status, body, header: () => undefined }, machine)
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
