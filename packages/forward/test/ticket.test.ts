import { SignJWT } from "jose"
import { describe, expect, it, vi } from "vitest"
import type { TicketKey } from "../src/forward.ts"
import { generateTicketKeys, signTicket, validateTicketKey, ticketSigner, ticketVerifier } from "../src/forward.ts"

const secret = (kid: string): TicketKey => ({
  kty: "oct",
  alg: "HS256",
  kid,
  k: Buffer.alloc(32, kid).toString("base64url"),
})
const verify = async (keys: readonly TicketKey[], machine: string, ticket: string | undefined) =>
  ticketVerifier(() => keys, machine)(ticket)

describe("a ticket", () => {
  it.each(["EdDSA", "HS256"])("of %s is good for its machine and for no other", async (alg) => {
    const pair =
      alg === "EdDSA" ? await generateTicketKeys("k1") : { signing: secret("k1"), verification: secret("k1") }
    const ticket = await signTicket(pair.signing, { machine: "mach_a" })
    expect(await verify([pair.verification], "mach_a", ticket)).toBeUndefined()
    expect(await verify([pair.verification], "mach_b", ticket)).toBe("wrong-machine")
    expect(pair.verification.d).toBeUndefined()
  })

  it("is missing, forged, of an unknown key, altered or overlong", async () => {
    const key = secret("k1")
    const ticket = await signTicket(key, { machine: "m" })
    expect(await verify([key], "m", undefined)).toBe("missing")
    expect(await verify([key], "m", "x.y.z")).toBe("invalid")
    expect(await verify([{ ...secret("k1"), k: Buffer.alloc(32, "other").toString("base64url") }], "m", ticket)).toBe(
      "invalid",
    )
    expect(await verify([secret("k2")], "m", ticket)).toBe("invalid")
    expect(await verify([key], "m", `${ticket.slice(0, -2)}AA`)).toBe("invalid")
    expect(await verify([key], "m", "a".repeat(100_000))).toBe("invalid")
  })

  it("cannot choose its algorithm: a public key is no HMAC secret", async () => {
    const { verification } = await generateTicketKeys("k1")
    const forged = await new SignJWT()
      .setProtectedHeader({ alg: "HS256", kid: "k1", typ: "ingress-ticket+jwt" })
      .setAudience("m")
      .setIssuedAt()
      .setExpirationTime("50s")
      .sign(Buffer.from(verification.x!, "base64url"))
    expect(await verify([verification], "m", forged)).toBe("invalid")
    const none = `${Buffer.from('{"alg":"none","kid":"k1","typ":"ingress-ticket+jwt"}').toString("base64url")}.${Buffer.from('{"aud":"m"}').toString("base64url")}.`
    expect(await verify([verification], "m", none)).toBe("invalid")
  })

  it("is not another JWT of the same key, and lives 60 s at most", async () => {
    const key = secret("k1")
    const sign = (typ: string, exp: string) =>
      new SignJWT()
        .setProtectedHeader({ alg: "HS256", kid: "k1", typ })
        .setAudience("m")
        .setIssuedAt()
        .setExpirationTime(exp)
        .sign(Buffer.from(key.k!, "base64url"))
    expect(await verify([key], "m", await sign("JWT", "50s"))).toBe("invalid")
    await expect(signTicket(key, { machine: "m", validForMs: 60_001 })).rejects.toThrow(TypeError)
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] })
    try {
      const long = await sign("ingress-ticket+jwt", "1h")
      expect(await verify([key], "m", long)).toBeUndefined()
      vi.setSystemTime(Date.now() + 70_000)
      expect(await verify([key], "m", long)).toBe("invalid")
    } finally {
      vi.useRealTimers()
    }
  })

  it("is verified once, and again when the keys change", async () => {
    let keys: readonly TicketKey[] = [secret("k1"), secret("k2")]
    const verifier = ticketVerifier(() => keys, "m")
    const [one, two] = [
      await signTicket(secret("k1"), { machine: "m" }),
      await signTicket(secret("k2"), { machine: "m" }),
    ]
    expect(await verifier(one)).toBeUndefined()
    expect(await verifier(two)).toBeUndefined()
    expect(verifier(one)).toBeUndefined()
    keys = [secret("k2")]
    expect(await verifier(one)).toBe("invalid")
    expect(await verifier(two)).toBeUndefined()
  })

  it("stops being good when it ends, also where it was verified before", async () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] })
    try {
      const key = secret("k1")
      const keys = [key]
      const verifier = ticketVerifier(() => keys, "m")
      const ticket = await signTicket(key, { machine: "m", validForMs: 1_000 })
      expect(await verifier(ticket)).toBeUndefined()
      vi.setSystemTime(Date.now() + 7_000)
      expect(await verifier(ticket)).toBe("invalid")
    } finally {
      vi.useRealTimers()
    }
  })

  it("is reused for half its life by a mint", async () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] })
    try {
      const mint = ticketSigner(secret("k1"))
      const first = await mint("m")
      expect(mint("m")).toBe(first)
      expect(await mint("n")).not.toBe(first)
      vi.setSystemTime(Date.now() + 31_000)
      expect(await mint("m")).not.toBe(first)
    } finally {
      vi.useRealTimers()
    }
  })
})

it.each([
  [null, "object"],
  [{ kid: "a" }, "alg"],
  [{ kid: "", alg: "HS256" }, "kid"],
  [{ kid: "a", alg: "HS256", kty: "oct", k: "short" }, "32 octets"],
  [{ kid: "a", alg: "EdDSA", kty: "RSA" }, "Ed25519"],
])("a key that is none is named: %j", (key, word) => {
  const problem = validateTicketKey(key)
  expect(problem).toContain(word)
  expect(problem).not.toContain("short")
})
