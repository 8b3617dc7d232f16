import { SignJWT } from "jose"
import { describe, expect, it, vi } from "vitest"
import { machineKey, secretOfMachine } from "../../src/machine-secret.ts"
import { signRelayProof, verifyRelayProof } from "../../src/relay/proof.ts"
import { generateTicketKeys } from "../../src/ticket-keys.ts"
import { signTicket } from "../../src/ticket.ts"

const { signing, verification } = await generateTicketKeys("k1")
const { signing: other } = await generateTicketKeys("k2")
const claims = { machine: "mach_a", relay: "relay.example.com" }
const key = await machineKey(signing, "mach_a")
const proof = async (): Promise<string> => (await signRelayProof(key, claims))!

describe("a machine's proof to a relay", () => {
  it("is accepted with a key of the list, and has an id of its own", async () => {
    const [first, second] = await Promise.all(
      [proof(), proof()].map(async (p) => verifyRelayProof(await p, claims, [other, signing])),
    )
    expect(first!.id).toMatch(/^[\w-]{22}$/)
    expect(first!.id).not.toBe(second!.id)
    expect(first!.until).toBeLessThanOrEqual(Date.now() + 90_000)
  })

  it("is not had from a key without a machine's secret", async () => {
    expect(await signRelayProof(verification, claims)).toBeUndefined()
  })

  it.each<[string, () => Promise<string>, Partial<typeof claims>]>([
    [
      "of another machine",
      async () => (await signRelayProof(await machineKey(signing, "mach_b"), { ...claims, machine: "mach_b" }))!,
      {},
    ],
    [
      "by another machine's secret",
      async () => (await signRelayProof(await machineKey(signing, "mach_b"), claims))!,
      {},
    ],
    ["for another relay", proof, { relay: "relay.example.net" }],
    ["for the same relay on another port", proof, { relay: "relay.example.com:8443" }],
    ["that was cut off", async () => (await proof()).slice(0, -2), {}],
    ["that is none", async () => "proof", {}],
    ["that is empty", async () => "", {}],
    ["that is too long", async () => `${await proof()}${"A".repeat(3_000)}`, {}],
    ["that is a ticket", () => signTicket(signing, { machine: "mach_a", port: 80, name: "relay.example.com" }), {}],
    [
      "of another type",
      async () =>
        new SignJWT({})
          .setProtectedHeader({ alg: "HS256", typ: "JWT" })
          .setSubject("mach_a")
          .setAudience("relay.example.com")
          .setJti("A".repeat(22))
          .setIssuedAt()
          .setExpirationTime("60s")
          .sign(await secretOfMachine(signing, "mach_a")),
      {},
    ],
    [
      "that lasts for ever",
      async () =>
        new SignJWT({})
          .setProtectedHeader({ alg: "HS256", typ: "project-ingress-relay+jwt" })
          .setSubject("mach_a")
          .setAudience("relay.example.com")
          .setJti("A".repeat(22))
          .setIssuedAt(Math.floor(Date.now() / 1_000) - 3_600)
          .setExpirationTime("9999d")
          .sign(await secretOfMachine(signing, "mach_a")),
      {},
    ],
    [
      "that names no algorithm",
      async () => {
        const [, payload] = (await proof()).split(".")
        return `${btoa(`{"alg":"none","typ":"project-ingress-relay+jwt"}`).replaceAll("=", "")}.${payload}.`
      },
      {},
    ],
  ])("is not one %s", async (_, make, expected) => {
    expect(await verifyRelayProof(await make(), { ...claims, ...expected }, [signing])).toBeUndefined()
  })

  it("is not one after a minute and the skew of clocks, nor from the future", async () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] })
    try {
      const made = await proof()
      vi.setSystemTime(Date.now() + 85_000)
      expect(await verifyRelayProof(made, claims, [signing])).toBeDefined()
      vi.setSystemTime(Date.now() + 10_000)
      expect(await verifyRelayProof(made, claims, [signing])).toBeUndefined()
      const late = await proof()
      vi.setSystemTime(Date.now() - 40_000)
      expect(await verifyRelayProof(late, claims, [signing])).toBeUndefined()
    } finally {
      vi.useRealTimers()
    }
  })
})
