import type { Endpoint, Machine } from "@project-ingress/providers"
import { expect, it } from "vitest"
import { upstreamAddress } from "../src/hosts/upstream-address.ts"

const poolOf = (id: string, epoch: string, { origin = "http://10.0.0.1:80", pin }: Partial<Endpoint> = {}): string => {
  const endpoint: Endpoint = { origin, pin, epoch, headers: {}, ttlMs: 1_000 }
  const machine: Machine = { id, type: "local", externalId: id, metadata: {} }
  const changes = { rewrite: () => {}, edit: undefined }
  return upstreamAddress({ endpoint, machine, headers: [], changes, stamps: undefined }).pool
}

it("two machines never share a connection, whatever their ids and epochs are made of", () => {
  const parts = ["a", "b", "c", "a|b", "b|c", "a|b|c", 'a","b', "a,b", "", "|", '"', "\\", "a\0b", "http://10.0.0.1:80"]
  const pools = parts.flatMap((id) => parts.map((epoch) => poolOf(id, epoch)))
  expect(new Set(pools).size).toBe(parts.length ** 2)
  expect(poolOf("a", "b")).toBe(poolOf("a", "b"))
})

it("a machine's connections by one key are not those by another, or by none", () => {
  const origin = "https://10.0.0.1:8080"
  const pools = [{ origin, pin: "sha256//one" }, { origin, pin: "sha256//two" }, { origin }]
  expect(new Set(pools.map((more) => poolOf("a", "b", more))).size).toBe(3)
})
