import { defineGrammar } from "@project-ingress/hostname"
import type { RouteKey, RouteRecord, RouteStore } from "@project-ingress/router"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { describe, expect, it } from "vitest"
import type { DeclaredIngress, Ingress } from "../../src/resource/ingress.ts"
import { ingressStore } from "../../src/routes/ingress-store.ts"
import { declared } from "../declared.ts"

const grammar = defineGrammar({ domains: ["iterate.app"] })
const signal = new AbortController().signal
const machine = (id: string) => ({ id, type: "local", externalId: id, metadata: { port: 9 } })

const storeOf = (ingresses: readonly DeclaredIngress[], inner: RouteStore): RouteStore => {
  const view = { revision: 1, ingresses, grants: [] }
  return ingressStore({ grammar, view: () => view, inner })
}

const recordAt = async (store: RouteStore, ...keys: readonly RouteKey[]): Promise<RouteRecord | undefined> => {
  const found = await store.getFirst!(keys, { signal })
  return found.status === "hit" ? found.record : undefined
}

const ownedBy = (owner: string, rules: Ingress["rules"]) => declared({ name: `of-${owner}`, rules }, { owner })

describe("the rules of one hostname that lead to one address", () => {
  it("have each its own access control", async () => {
    const url = "http://10.0.0.5:3000"
    const rules = [
      { match: { hostname: "app.example.com", path: "/admin" }, target: { url }, allowCidrs: ["10.0.0.0/8"] },
      { match: { hostname: "app.example.com" }, target: { url } },
    ]
    const record = await recordAt(storeOf([await ownedBy("a", rules)], memoryStore({})), "d:app.example.com")
    if (record?.kind !== "machine") throw new Error("no machine")
    const settings = record.rules!.map(({ targets }) => record.machines![targets[0]!.machine!.id])
    expect(settings).toMatchObject([{ allowCidrs: ["10.0.0.0/8"] }, { visibility: "public" }])
    expect(settings[1]).not.toHaveProperty("allowCidrs")
  })
})

describe("a hostname that is declared for another port", () => {
  it("takes nothing from the pattern of another owner", async () => {
    const inner = memoryStore({
      "m:mach_1": { machine: machine("mach_1"), owner: "a" },
      "m:mach_2": { machine: machine("mach_2"), owner: "b" },
    })
    const store = storeOf(
      [
        await ownedBy("a", [{ match: { hostname: "*.example.com" }, target: { machine: "mach_1", port: 1 } }]),
        await ownedBy("b", [
          { match: { hostname: "shop.example.com", port: 8443 }, target: { machine: "mach_2", port: 1 } },
        ]),
      ],
      inner,
    )
    const at = async (port: number) => {
      const record = await recordAt(store, `d:${port}:shop.example.com`, "d:shop.example.com")
      return record?.kind === "machine" ? record.machine.id : record?.kind
    }
    expect([await at(80), await at(8443)]).toEqual(["mach_1", "mach_2"])
  })
})

describe("a look-up", () => {
  it("asks for each machine once, however many rules lead there", async () => {
    const asked: string[] = []
    const records = memoryStore({ "m:mach_1": { machine: machine("mach_1"), owner: "a" } })
    const inner: RouteStore = {
      get: (key) => {
        asked.push(key)
        return records.get(key)
      },
    }
    const rules = Array.from({ length: 1_000 }, (_, at) => ({
      match: { hostname: "app.example.com", path: `/${at}` },
      target: { machine: "mach_1", port: 1 + at },
    }))
    const record = await recordAt(storeOf([await ownedBy("a", rules)], inner), "d:app.example.com")
    expect(record).toMatchObject({ kind: "machine", rules: { length: 1_000 } })
    expect(asked).toEqual(["d:app.example.com", "m:mach_1"])
  })

  it("is not led astray by a machine of another owner that has the name of a project", async () => {
    const inner = memoryStore({
      "m:misha": { machine: machine("misha"), owner: "b" },
      "p:misha": { machine: machine("mach_1"), owner: "a", externalId: "misha" },
    })
    const rules = [{ match: { hostname: "{name}.dev.example.com" }, target: { capture: "name", port: 80 } }]
    const record = await recordAt(storeOf([await ownedBy("a", rules)], inner), "d:misha.dev.example.com")
    expect(record).toMatchObject({ kind: "machine", machine: { id: "mach_1" } })
  })

  it("leads by the clock that it is given to what has an end", async () => {
    const inner = memoryStore({ "m:mach_1": { machine: machine("mach_1"), owner: "a", expiresAt: 2e12 } })
    const rules = [{ match: { hostname: "app.example.com" }, target: { machine: "mach_1", port: 80 } }]
    const view = { revision: 1, ingresses: [await ownedBy("a", rules)], grants: [] }
    for (const [time, kind] of [
      [2e12 - 1, "machine"],
      [2e12, "detached"],
    ] as const) {
      const store = ingressStore({ grammar, view: () => view, inner, now: () => time })
      expect((await recordAt(store, "d:app.example.com"))?.kind).toBe(kind)
    }
  })
})
