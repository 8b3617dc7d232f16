import { SignJWT } from "jose"
import { describe, expect, it } from "vitest"
import {
  generateTicketKeys,
  machineKey,
  signTicket,
  ticketSigner,
  TicketsLimited,
  ticketVerifier,
} from "../src/forward.ts"
import type { SignedTicket, TicketClaims } from "../src/forward.ts"
import { importSigningKey } from "../src/ticket-keys.ts"

const { signing, verification } = await generateTicketKeys("k1")
const keys = [await machineKey(signing, "m")]
const verify = (ticket: string) => ticketVerifier(() => keys, "m")(ticket)

/** A ticket with whatever claims, under a good signature. */
const signed = async (claims: Record<string, unknown>) =>
  new SignJWT(claims)
    .setProtectedHeader({ alg: "EdDSA", kid: "k1", typ: "ingress-ticket+jwt" })
    .setAudience("m")
    .setJti("id")
    .setIssuedAt()
    .setExpirationTime("30s")
    .sign(await importSigningKey(signing))

describe("a ticket with a scope", () => {
  it.each(["inspect", "control"] as const)("%s is verified as one without a port", async (scope) => {
    const ticket = await verify(await signTicket(signing, { machine: "m", scope }))
    expect(ticket).toMatchObject({ scope })
    expect(ticket).not.toHaveProperty("port")
    expect(ticket).not.toHaveProperty("name")
  })

  it.each([
    ["another scope", { scope: "admin" }],
    ["two scopes", { scope: ["inspect", "control"] }],
    ["a scope beside a port", { scope: "inspect", port: 3000, name: "misha.test" }],
    ["a scope beside a name", { scope: "control", name: "misha.test" }],
    ["nothing", {}],
    ["a scope that is null", { scope: null, port: 3000, name: "misha.test" }],
  ])("is refused if it says %s", async (_, claims) => {
    expect(await verify(await signed(claims))).toMatchObject({ refusal: "invalid" })
  })

  it("cannot be signed beside a port, nor for a scope that there is not", async () => {
    const both = { machine: "m", scope: "inspect", port: 3000, name: "m" } as never as TicketClaims
    await expect(signTicket(signing, both)).rejects.toThrow("a ticket has a scope, or port and name, not both")
    const other = { machine: "m", scope: "admin" } as never as TicketClaims
    await expect(signTicket(signing, other)).rejects.toThrow("scope must be inspect or control")
  })

  it("has stamps of its own, which both sides compute alike", async () => {
    const signer = ticketSigner(signing)
    const [inspect, control, port] = (await Promise.all([
      signer.scopedTicketFor("m", "inspect"),
      signer.scopedTicketFor("m", "control"),
      signer.ticketFor("m", 3000, "m"),
    ])) as [SignedTicket, SignedTicket, SignedTicket]
    const stamps = await Promise.all([inspect, control, port].map(async ({ ticket }) => verify(ticket)))
    for (const [at, { stamps: expected }] of [inspect, control, port].entries()) {
      const { response, refusal } = expected
      expect(stamps[at]).toMatchObject({ stamps: { response, refusal } })
    }
    expect(new Set([inspect, control, port].map((each) => each.stamps.response)).size).toBe(3)
  })
})

describe("a signer", () => {
  it("gives the same scoped ticket again, and another one after it was refused", async () => {
    const signer = ticketSigner(signing)
    const first = (await signer.scopedTicketFor("m", "control")) as SignedTicket
    expect(signer.scopedTicketFor("m", "control")).toBe(first)
    expect(signer.renewScoped("m", "control", first)).toBe(true)
    expect(await signer.scopedTicketFor("m", "control")).not.toBe(first)
  })

  it("has one for withdrawing access whatever visitors use up", async () => {
    const signer = ticketSigner(signing)
    for (let port = 1; port <= 64; port++) await signer.ticketFor("m", port, "m")
    expect(await signer.ticketFor("m", 65, "m")).toBeInstanceOf(TicketsLimited)
    expect(await signer.scopedTicketFor("m", "control")).toHaveProperty("ticket")
    expect(await signer.scopedTicketFor("m", "inspect")).toHaveProperty("ticket")
  })

  it("is not needed to be trusted: a public half signs no scope", async () => {
    await expect(signTicket(verification as never, { machine: "m", scope: "control" })).rejects.toThrow(TypeError)
  })
})
