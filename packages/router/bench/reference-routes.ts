import type { Machine, RouteKey, RouteRecord } from "../src/stores/record.ts"

/**
 * The reference corpus: routes as a platform has them. 60 % projects, 30 % machines, 10 % custom domains; 10 % with services, 2 % with
 * rules, 1 % with replicas; about ten keys for each owner. The same for the same count.
 */
export function* referenceRoutes(count: number): Generator<readonly [key: RouteKey, record: RouteRecord]> {
  const random = generator(11)
  const below = (limit: number): number => Math.floor(random() * limit)
  const pick = <A>(from: readonly A[]): A => from[below(from.length)]!
  const text = (alphabet: string, length: number): string =>
    Array.from({ length }, () => alphabet[below(alphabet.length)]).join("")

  const machine = (): Machine => {
    const id = `mach_${text(BASE32, 12)}`
    const of = random()
    if (of < 0.6) return { id, type: "fly", externalId: text(HEX, 14), metadata: { app: `sandboxes-${pick(REGIONS)}` } }
    if (of < 0.85) return { id, type: "docker", externalId: text(HEX, 12), metadata: {} }
    const uuid = [8, 4, 4, 4, 12].map((length) => text(HEX, length)).join("-")
    return { id, type: "daytona", externalId: uuid, metadata: {} }
  }

  for (let at = 0; at < count; at++) {
    const attached = machine()
    const kind = random()
    const slug = `${pick(WORDS)}-${pick(WORDS)}-${text(BASE32, 4)}`
    const key: RouteKey =
      kind < 0.6
        ? `p:${slug}`
        : kind < 0.9
          ? `m:${attached.id}`
          : `d:${random() < 0.5 ? "www" : "app"}.${slug}.${pick(["com", "dev", "io"])}`
    yield [
      key,
      {
        epoch: below(40),
        owner: `org_${owner(below(count / 10))}`,
        kind: "machine",
        machine: attached,
        ...(random() < 0.01 ? { replicas: [machine(), machine()], balance: "least-requests" } : {}),
        ...(random() < 0.1
          ? { services: { web: 3000, api: 8000 + below(100), [pick(SERVICES)]: 1024 + below(60_000) } }
          : {}),
        ...(random() < 0.02
          ? { rules: [{ match: { path: { prefix: "/api" } }, targets: [{ machine: machine(), port: 8080 }] }] }
          : {}),
        ...(random() < 0.4 ? { visibility: "public" } : { visibility: "private" }),
        ...(random() < 0.2 ? { ports: { 4096: { visibility: "public" } } } : {}),
        version: 1 + below(5_000_000),
      },
    ]
  }
}

const HEX = "0123456789abcdef"
const BASE32 = "0123456789abcdefghjkmnpqrstvwxyz"
const REGIONS = ["ams", "fra", "iad", "sjc", "syd"]
const SERVICES = ["opencode", "terminal", "storybook", "docs", "admin", "studio"]
const WORDS = [
  "misha",
  "anna",
  "blue",
  "river",
  "shop",
  "api",
  "landing",
  "portfolio",
  "chat",
  "notes",
  "stripe",
  "demo",
  "garden",
  "north",
]

/** An owner's id, the same each time. */
const owner = (number: number): string => {
  const random = generator(number + 1_000)
  return Array.from({ length: 10 }, () => BASE32[Math.floor(random() * 32)]).join("")
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
export const generator = (seed: number): (() => number) => {
  let state = seed
  return () => {
    state = (state + 0x6d2b_79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}
