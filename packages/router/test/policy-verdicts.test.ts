/** One port, one verdict: whatever hostname leads there, and whatever was asked before. */
import { createHash } from "node:crypto"
import fc from "fast-check"
import { expect, it } from "vitest"
import { allowCidrs, authorize, requireHeader, visibility } from "../src/policies.ts"
import type { Policy, PortSettings, Route } from "../src/router.ts"
import { memoryRegistry } from "../src/stores/memory.ts"
import { named } from "./attacks/visit.ts"
import { hostnames as grammar, machine, setup } from "./fakes.ts"

const sha256 = createHash("sha256").update("key").digest("hex")
const clients = ["10.0.0.1", "192.0.2.1", "2001:db8::1"]

const settings: fc.Arbitrary<PortSettings> = fc.record(
  {
    visibility: fc.constantFrom("public", "private"),
    allowCidrs: fc.subarray(["10.0.0.0/8", "192.0.2.0/24", "2001:db8::/32"]),
    requireHeader: fc.constant({ name: "x-key", sha256 }),
  },
  { requiredKeys: [] },
)
const ports = fc.uniqueArray(fc.constantFrom(22, 3000, 4096, 8080), { minLength: 1 })
const project = fc.record({
  all: settings,
  ports: ports.chain((list) => fc.tuple(...list.map((port) => settings.map((each) => [port, each] as const)))),
  services: fc.dictionary(fc.constantFrom("web", "opencode", "api-2"), fc.constantFrom(22, 3000, 8080)),
  port: fc.option(fc.constantFrom(3000, 8080), { nil: undefined }),
  rules: fc.constantFrom<readonly { readonly port?: number; readonly machine?: string }[]>(
    [],
    [{ port: 22 }],
    [{ machine: "mach_2" }],
  ),
})
const visitor = fc.record({
  subject: fc.constantFrom("anna", "bob", undefined),
  client: fc.constantFrom(...clients),
  key: fc.constantFrom("key", "wrong", undefined),
})

const labels = ["", "22", "3000", "4096", "8080", "web", "opencode", "api-2", "nosuch"]
const hosts = [
  ...["misha", "banana"].flatMap((slug) =>
    labels.flatMap((label) =>
      label === ""
        ? [slug]
        : [`${label}--${slug}`, `${label}.${slug}`, ...(/^\d/.test(label) ? [`${label}__${slug}`] : [])],
    ),
  ),
  ...["mach_1", "mach_2", "mach_3"].flatMap((id) => [
    id,
    `${id}.machines`,
    `22__${id}`,
    `3000__${id}.machines`,
    `4096--${id.replace("_", "-")}.machines`,
  ]),
]
  .map((name) => `${name}.iterate.app`)
  .concat(
    labels.map((label) => (label === "" ? "www.example.com" : `${label}.www.example.com`)),
    "22__mach_1.www.example.com",
    "3000__mach_2.www.example.com",
  )

/** What was decided for one port must say nothing of the next. */
const inAnyOrder = fc.shuffledSubarray(hosts, { minLength: hosts.length })

it("has one verdict for one visitor under all hostnames that lead to it (property)", async () => {
  await fc.assert(
    fc.asyncProperty(
      project,
      project,
      fc.array(visitor, { minLength: 1, maxLength: 4 }),
      inAnyOrder,
      async (one, two, visitors, asked) => {
        let proof: string | undefined
        const registry = memoryRegistry({ grammar, resolveTxt: async () => (proof === undefined ? [] : [proof]) })
        for (const id of ["mach_1", "mach_2", "mach_3"])
          await registry.putMachine({ ...machine(id), owner: id === "mach_3" ? "o2" : "o1" })
        const settingsOf = ({ all, ports: each, services, port, rules }: typeof one, mayLead: boolean) => ({
          ...all,
          ports: Object.fromEntries(each),
          services,
          ...(port === undefined ? {} : { port }),
          ...(mayLead && rules.length > 0 ? { rules: [{ match: {}, targets: rules }] } : {}),
        })
        await registry.create({
          name: "misha",
          owner: "o1",
          externalId: "prj_1",
          machine: "mach_1",
          ...settingsOf(one, true),
        })
        await registry.create({
          name: "banana",
          owner: "o2",
          externalId: "prj_2",
          machine: "mach_3",
          ...settingsOf(two, false),
        })
        proof = (await registry.addDomain("misha", "www.example.com")).proof.value
        await registry.verifyDomain("misha", "www.example.com")

        let seen: Route | undefined
        const look: Policy = { name: "look", onRoute: (_, route) => void (seen = route) }
        const { router } = setup({
          store: registry,
          clientAddress: (request) => request.headers.get("x-client"),
          policies: [
            look,
            allowCidrs(),
            requireHeader(),
            named(),
            visibility({ grammar }),
            // By the owner: a machine that only rules lead to is in no project by its own hostname.
            authorize(
              ({ subject }, { record, port = 0 }) => subject === "anna" || (record.owner === "o1" && port < 4000),
            ),
          ],
        })
        for (const { subject, client, key } of visitors) {
          const verdicts = new Map<string, number>()
          for (const host of asked) {
            seen = undefined
            const headers = {
              "x-client": client,
              ...(subject && { "x-visitor": subject }),
              ...(key && { "x-key": key }),
            }
            const response = await router.fetch(new Request(`https://${host}/`, { headers }))
            const { machine: arrived, port } = seen ?? ({} as Partial<Route>)
            if (arrived === undefined) continue
            const at = `${arrived.id}:${port}`
            const { status } = response!
            if (!verdicts.has(at)) verdicts.set(at, status)
            expect([host, at, status]).toEqual([host, at, verdicts.get(at)])
          }
          expect(verdicts.size).toBeGreaterThan(3)
        }
      },
    ),
    { numRuns: 15 },
  )
})
