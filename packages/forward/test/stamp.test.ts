import { createHmac, hkdfSync } from "node:crypto"
import { decodeJwt, SignJWT } from "jose"
import { describe, expect, it } from "vitest"
import { framed } from "../src/framed.ts"
import { generateTicketKeys, machineKey, signTicket, ticketSigner, ticketVerifier } from "../src/forward.ts"
import type { RefusedTicket, SharedSecretKey, SignedTicket, SigningKey, VerifiedTicket } from "../src/forward.ts"
import { isProven, proofOf } from "../src/internal.ts"

const { signing, verification } = await generateTicketKeys("k1")
const shared: SharedSecretKey = { kty: "oct", alg: "HS256", kid: "h1", k: Buffer.alloc(32, 7).toString("base64url") }

const signed = async (key: SigningKey = signing, machine = "mach_1"): Promise<SignedTicket> =>
  (await ticketSigner(key).ticketFor(machine, 3000, "misha.test")) as SignedTicket
const at = async (ticket: string, key: SigningKey = signing, machine = "mach_1") => {
  const keys = [await machineKey(key, machine)]
  return ticketVerifier(() => keys, machine)(ticket)
}
const stampsAt = async (...args: Parameters<typeof at>) => ((await at(...args)) as VerifiedTicket).stamps

describe("a stamp", () => {
  it.each<[string, SigningKey]>([
    ["EdDSA", signing],
    ["HS256", shared],
  ])("of %s is the same on both sides", async (_, key) => {
    const { ticket, stamps } = await signed(key)
    expect(stamps).toEqual({ ...(await stampsAt(ticket, key)), unproven: false })
  })

  it("is HMAC-SHA-256 of role, machine, ticket, port and name, by the machine's own secret", async () => {
    const { ticket, stamps } = await signed()
    const info = framed("project-ingress/machine-secret/1", "k1", "mach_1")
    const secret = Buffer.from(hkdfSync("sha256", Buffer.from(signing.d, "base64url"), "", info, 32))
    const { jti } = decodeJwt(ticket)
    for (const role of ["response", "refusal"] as const) {
      const text = framed("project-ingress/stamp/1", role, "mach_1", jti!, "3000", "misha.test")
      expect(stamps[role]).toBe(createHmac("sha256", secret).update(text).digest("base64url"))
    }
  })

  it("is another one for each ticket, and for each role", async () => {
    const [one, two] = [await signed(), await signed()]
    const all = [one.stamps.response, one.stamps.refusal, two.stamps.response, two.stamps.refusal]
    expect(new Set(all).size).toBe(4)
  })

  it("cannot be computed with the public key, nor with another machine's secret: a cloned image proves nothing", async () => {
    const { ticket, stamps } = await signed()
    const plain = await ticketVerifier(() => [verification], "mach_1")(ticket)
    expect(plain).toMatchObject({ port: 3000, stamps: undefined })
    // The image of mach_2, with its secret, that says it is mach_1.
    const clone = [await machineKey(signing, "mach_2")]
    const cloned = (await ticketVerifier(() => clone, "mach_1")(ticket)) as VerifiedTicket
    expect(proofOf(cloned.stamps!.response, stamps)).toBe("wrong")
    expect(proofOf(cloned.stamps!.refusal, stamps)).toBe("wrong")
  })

  it("of two keys in rotation is by the secret of the key that signed", async () => {
    const next = await generateTicketKeys("k2")
    const keys = [await machineKey(signing, "mach_1"), await machineKey(next.signing, "mach_1")]
    const verify = ticketVerifier(() => keys, "mach_1")
    for (const key of [signing, next.signing]) {
      const { ticket, stamps } = await signed(key)
      expect(proofOf(((await verify(ticket)) as VerifiedTicket).stamps!.response, stamps)).toBe("response")
    }
  })

  it("of a refusal proves that the machine itself refused a ticket that has expired, by what the ticket says", async () => {
    const keys = [await machineKey(signing, "mach_1")]
    const { ticket, stamps } = await signed()
    const expired = await new SignJWT({ ...decodeJwt(ticket), iat: 1, exp: 2 })
      .setProtectedHeader({ alg: "EdDSA", kid: "k1", typ: "ingress-ticket+jwt" })
      .sign(await crypto.subtle.importKey("jwk", { ...signing }, "Ed25519", false, ["sign"]))
    const refused = (await ticketVerifier(() => keys, "mach_1")(expired)) as RefusedTicket
    expect(refused.refusal).toBe("invalid")
    expect(proofOf(refused.stamp, stamps)).toBe("refusal")
  })

  it("is not given for a key that nobody has, or a text that is no ticket", async () => {
    const other = await generateTicketKeys("k9")
    const foreign = await signTicket(other.signing, { machine: "mach_1", port: 3000, name: "misha.test" })
    expect(await at(foreign)).toEqual({ refusal: "invalid", stamp: undefined })
    expect(await at("a.b.c")).toEqual({ refusal: "invalid" })
    expect(await at("")).toEqual({ refusal: "missing" })
  })
})

describe("a response", () => {
  const ok = { status: 200, code: undefined }
  const failed = { status: 502, code: "PORT_CLOSED" }

  it("is proven by its own stamp, and by that of the other role never", async () => {
    const { stamps } = await signed()
    expect(isProven(stamps.response, stamps, ok)).toBe(true)
    expect(isProven(stamps.response, stamps, failed)).toBe(true)
    expect(isProven(stamps.refusal, stamps, failed)).toBe(true)
    expect(isProven(stamps.refusal, stamps, ok)).toBe(false)
    expect(isProven(stamps.refusal, stamps, { status: 200, code: "PORT_CLOSED" })).toBe(false)
    expect(isProven(stamps.refusal, stamps, { status: 502, code: undefined })).toBe(false)
  })

  it("is not proven by none, a constant, another ticket's, half of one, or what says that it cannot prove itself", async () => {
    const [{ stamps }, other] = [await signed(), await signed()]
    for (const stamp of [
      undefined,
      "",
      "1",
      "unproven",
      other.stamps.response,
      stamps.response.slice(1),
      `${stamps.response}x`,
    ]) {
      expect(isProven(stamp, stamps, ok)).toBe(false)
    }
    expect([proofOf(undefined, stamps), proofOf("unproven", stamps), proofOf("1", stamps)]).toEqual([
      "absent",
      "unproven",
      "wrong",
    ])
  })

  it("that says it cannot prove itself is accepted where that is asked for, a wrong stamp never", async () => {
    const { stamps } = (await ticketSigner(signing, { unprovenMachines: true }).ticketFor("m", 1, "n")) as SignedTicket
    expect(isProven("unproven", stamps, ok)).toBe(true)
    expect(isProven(stamps.response, stamps, ok)).toBe(true)
    expect(isProven("1", stamps, ok)).toBe(false)
    expect(isProven(undefined, stamps, ok)).toBe(false)
  })
})
