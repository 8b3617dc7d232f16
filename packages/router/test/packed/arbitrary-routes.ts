import fc from "fast-check"
import type { RouteKey } from "../../src/stores/record.ts"

const label = fc.stringMatching(/^[a-z\d]{1,12}(-[a-z\d]{1,8})?$/)

/** Keys that hostnames lead to. */
export const arbitraryKey: fc.Arbitrary<RouteKey> = fc.oneof(
  label.map((name): RouteKey => `p:${name}`),
  fc.stringMatching(/^[a-z]{1,6}_[a-z\d]{1,16}$/).map((name): RouteKey => `m:${name}`),
  fc
    .tuple(fc.constantFrom("", "*.", "8443:"), label, label)
    .map(([before, name, domain]): RouteKey => `d:${before}${name}.${domain}`),
)

// As JSON has it: no -0, no `undefined`.
const json = fc
  .jsonValue({ maxDepth: 4 })
  // A name that no field may have: such a record cannot be packed as it is.
  .filter((value) => !JSON.stringify(value).includes("__proto__"))
  .map((value) => JSON.parse(JSON.stringify(value)) as unknown)
const text = fc.oneof(
  fc.string(),
  fc.string({ unit: "binary" }),
  fc.uuid(),
  fc.stringMatching(/^[\da-f]{1,20}$/),
  label,
)
const port = fc.integer({ min: 1, max: 65_535 })
const name = text.filter((each) => each !== "__proto__")

const machine = fc.record({
  id: fc.stringMatching(/^[a-z]{1,6}_[a-z\d]{1,16}$/),
  type: fc.constantFrom("fly", "docker", "e2b"),
  externalId: fc.oneof(text, fc.uuid()),
  metadata: fc.dictionary(name, json, { maxKeys: 3 }),
})

/** Records without version and epoch: valid ones, and ones that a router refuses. */
export const arbitraryRoute: fc.Arbitrary<Readonly<Record<string, unknown>>> = fc.oneof(
  fc.record(
    {
      machine,
      owner: text,
      visibility: fc.constantFrom("public", "private"),
      replicas: fc.array(machine, { maxLength: 2 }),
      balance: fc.constantFrom("sticky", "round-robin", "least-requests"),
      port,
      services: fc.dictionary(label, port, { maxKeys: 3 }),
      ports: fc.dictionary(port.map(String), fc.record({ visibility: fc.constant("public") }), { maxKeys: 3 }),
      expiresAt: fc.maxSafeNat(),
      generation: fc.nat(),
      metadata: fc.dictionary(name, json, { maxKeys: 3 }),
      rules: fc.constant([{ match: {}, targets: [{ weight: 0 }] }]),
    },
    { requiredKeys: ["machine"] },
  ),
  fc.record({ kind: fc.constant("detached"), owner: text }, { requiredKeys: ["kind"] }),
  fc.record({ kind: fc.constant("redirect"), to: fc.oneof(fc.webUrl(), label), status: fc.constantFrom(301, 308) }),
  fc.record({ kind: fc.constant("removed"), expiresAt: fc.maxSafeNat() }),
  fc.record({ kind: fc.constantFrom("machine", "of-next-year"), machine: json, other: json }),
)
