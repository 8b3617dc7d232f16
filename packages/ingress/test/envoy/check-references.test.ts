import { describe, expect, it } from "vitest"
import { checkReferences } from "../../src/envoy/check-references.ts"
import type { Message } from "../../src/envoy/json.ts"

const router = { name: "envoy.filters.http.router" }
const hosts = (...domains: readonly string[]): Message => ({
  name: "table",
  virtual_hosts: domains.map((domain, at) => ({ name: `host-${at}`, domains: [domain] })),
})
const listener = (...chains: readonly Message[]): Message => ({ name: "l", filter_chains: chains })
const names = (...server_names: readonly string[]): Message => ({ filter_chain_match: { server_names } })

describe("the references of Envoy's resources", () => {
  it.each<[string, Partial<Record<"listeners" | "routes" | "clusters", readonly Message[]>>, RegExp]>([
    ["a cluster that is not there", { routes: [{ name: "t", route: { cluster: "a" } }] }, /no cluster a/],
    ["one of several", { routes: [{ name: "t", weighted_clusters: { clusters: [{ name: "b" }] } }] }, /no cluster b/],
    ["routes that are not there", { listeners: [{ name: "l", rds: { route_config_name: "t" } }] }, /no route conf.* t/],
    ["a name twice", { clusters: [{ name: "a" }, { name: "a" }] }, /cluster a/],
    ["a domain twice", { routes: [hosts("a.x", "a.x")] }, /domain a\.x/],
    ["a * in the middle", { routes: [hosts("a.*.x")] }, /a\.\*\.x is no domain/],
    ["filters without the router", { listeners: [{ name: "l", http_filters: [router, { name: "x" }] }] }, /router/],
    ["a match twice", { listeners: [listener(names("a.x", "b.x"), names("b.x"))] }, /match b\.x/],
    ["no match twice", { listeners: [listener({}, {})] }, /everything/],
    ["a bare * as a server name", { listeners: [listener(names("*"))] }, /\* is no server name/],
  ])("are refused: %s", (_, resources, message) => {
    expect(() => checkReferences({ listeners: [], routes: [], clusters: [], ...resources })).toThrow(message)
  })

  it("are accepted where nothing is wrong", () => {
    const listeners = [
      listener(names("a.x"), names("*.x"), { filter_chain_match: { transport_protocol: "raw_buffer" } }),
    ]
    const routes = [{ ...hosts("a.x", "*.x", "*"), route: { cluster: "a" } }]
    expect(() => checkReferences({ listeners, routes, clusters: [{ name: "a" }] })).not.toThrow()
  })
})
