import { SignJWT } from "jose"
import { describe, expect, it, vi } from "vitest"
import type {
  PortUse,
  RefusedTicket,
  SharedSecretKey,
  SigningKey,
  TicketClaims,
  VerificationKey,
  VerifiedTicket,
} from "../src/forward.ts"
import { generateTicketKeys, signTicket as sign, ticketSigner, ticketVerifier } from "../src/forward.ts"
import { validateSigningKey, validateVerificationKey } from "../src/internal.ts"

const pairs = await generateTicketKeys("k1")
const secret = (kid: string): SharedSecretKey => ({
  kty: "oct",
  alg: "HS256",
  kid,
  k: Buffer.alloc(32, kid).toString("base64url"),
})
/** For one port and name, unless a test says another. */
const signTicket = (key: SigningKey, claims: Partial<PortUse & Omit<TicketClaims, "scope">>): Promise<string> =>
  sign(key, { machine: "m", port: 3000, name: "misha.test", ...claims })
/** Why it is refused; `undefined` if it is not. */
const refusal = (result: VerifiedTicket | RefusedTicket) => ("refusal" in result ? result.refusal : undefined)
const verify = async (keys: readonly VerificationKey[], machine: string, ticket: string | undefined) =>
  refusal(await ticketVerifier(() => keys, machine)(ticket))

describe("a ticket", () => {
  it.each(["EdDSA", "HS256"])("of %s is good for its machine and for no other", async (alg) => {
    const pair =
      alg === "EdDSA" ? await generateTicketKeys("k1") : { signing: secret("k1"), verification: secret("k1") }
    const ticket = await signTicket(pair.signing, { machine: "mach_a" })
    expect(await verify([pair.verification], "mach_a", ticket)).toBeUndefined()
    expect(await verify([pair.verification], "mach_b", ticket)).toBe("wrong-machine")
    expect("d" in pair.verification).toBe(false)
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
    const forged = await new SignJWT({ port: 3000, name: "misha.test", jti: "1" })
      .setProtectedHeader({ alg: "HS256", kid: "k1", typ: "ingress-ticket+jwt" })
      .setAudience("m")
      .setIssuedAt()
      .setExpirationTime("50s")
      .sign(Buffer.from(verification.x, "base64url"))
    expect(await verify([verification], "m", forged)).toBe("invalid")
    const none = `${Buffer.from('{"alg":"none","kid":"k1","typ":"ingress-ticket+jwt"}').toString("base64url")}.${Buffer.from('{"aud":"m","jti":"1","port":3000,"name":"misha.test"}').toString("base64url")}.`
    expect(await verify([verification], "m", none)).toBe("invalid")
  })

  it("is not another JWT of the same key, and lives 60 s at most", async () => {
    const key = secret("k1")
    const sign = (typ: string, exp: string) =>
      new SignJWT({ port: 3000, name: "misha.test" })
        .setProtectedHeader({ alg: "HS256", kid: "k1", typ })
        .setAudience("m")
        .setJti("1")
        .setIssuedAt()
        .setExpirationTime(exp)
        .sign(Buffer.from(key.k, "base64url"))
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
    let keys: readonly VerificationKey[] = [secret("k1"), secret("k2")]
    const verifier = ticketVerifier(() => keys, "m")
    const [one, two] = [
      await signTicket(secret("k1"), { machine: "m" }),
      await signTicket(secret("k2"), { machine: "m" }),
    ]
    expect(refusal(await verifier(one))).toBeUndefined()
    expect(refusal(await verifier(two))).toBeUndefined()
    expect(verifier(one)).not.toBeInstanceOf(Promise)
    keys = [secret("k2")]
    expect(refusal(await verifier(one))).toBe("invalid")
    expect(refusal(await verifier(two))).toBeUndefined()
  })

  it("whose verification was under way while its key was withdrawn is refused afterwards", async () => {
    let keys: readonly VerificationKey[] = [secret("k1")]
    const verifier = ticketVerifier(() => keys, "m")
    const [withdrawn, good] = [
      await signTicket(secret("k1"), { machine: "m" }),
      await signTicket(secret("k2"), { machine: "m" }),
    ]
    const underWay = verifier(withdrawn)
    keys = [secret("k2")]
    // Another request comes while the verification still runs, and the verifier sees the new keys.
    const meanwhile = verifier(good)
    await underWay
    expect(refusal(await meanwhile)).toBeUndefined()
    expect(refusal(await verifier(withdrawn))).toBe("invalid")
  })

  it("stops being good when it ends, also where it was verified before", async () => {
    vi.useFakeTimers({ now: Date.now(), toFake: ["Date"] })
    try {
      const key = secret("k1")
      const keys = [key]
      const verifier = ticketVerifier(() => keys, "m")
      const ticket = await signTicket(key, { machine: "m", validForMs: 1_000 })
      expect(refusal(await verifier(ticket))).toBeUndefined()
      vi.setSystemTime(Date.now() + 7_000)
      expect(refusal(await verifier(ticket))).toBe("invalid")
    } finally {
      vi.useRealTimers()
    }
  })

  it("is verified by each of several keys with one name, and by no other", async () => {
    const old = await generateTicketKeys("k1")
    const other = await generateTicketKeys("k2")
    const same = [old.verification, pairs.verification, { ...secret("k9"), kid: "k1" }, other.verification] as const
    for (const keys of [same, same.toReversed()]) {
      const verify = ticketVerifier(() => keys, "m")
      for (const key of [old.signing, pairs.signing, { ...secret("k9"), kid: "k1" } as const])
        expect(refusal(await verify(await signTicket(key, { machine: "m" })))).toBeUndefined()
      expect(refusal(await verify(await signTicket(pairs.signing, { machine: "n" })))).toBe("wrong-machine")
      expect(refusal(await verify(await signTicket({ ...other.signing, kid: "k1" }, { machine: "m" })))).toBe("invalid")
    }
  })

  it("is for one port and one name, which its verifier says", async () => {
    const ticket = await signTicket(pairs.signing, { port: 4096, name: "www.example.com" })
    const verified = await ticketVerifier(() => [pairs.verification], "m")(ticket)
    expect(verified).toMatchObject({ port: 4096, name: "www.example.com", stamps: undefined })
  })

  it.each([{ port: 0 }, { port: 65_536 }, { port: 1.5 }, { name: "" }, { name: "x".repeat(254) }, { machine: "" }])(
    "is not signed for %j",
    async (claims) => {
      await expect(signTicket(pairs.signing, claims)).rejects.toThrow(TypeError)
    },
  )

  it.each([["jti"], ["port"], ["name"]])("without %s is invalid", async (claim) => {
    const key = secret("k1")
    const claims: Record<string, unknown> = { port: 3000, name: "misha.test", jti: "1" }
    delete claims[claim]
    const ticket = await new SignJWT(claims)
      .setProtectedHeader({ alg: "HS256", kid: "k1", typ: "ingress-ticket+jwt" })
      .setAudience("m")
      .setIssuedAt()
      .setExpirationTime("50s")
      .sign(Buffer.from(key.k, "base64url"))
    expect(await verify([key], "m", ticket)).toBe("invalid")
  })
})

describe("a key", () => {
  const { signing, verification } = pairs
  const short = Buffer.alloc(31).toString("base64url")

  it.each([
    [null, "object"],
    [{ kid: "a" }, "alg"],
    [{ kid: "", alg: "HS256" }, "kid"],
    [{ kid: "a", alg: "HS256", kty: "oct", k: "short" }, "32 bytes"],
    [{ kid: "a", alg: "HS256", kty: "oct", k: `short${"+".repeat(50)}` }, "32 bytes"],
    [{ kid: "a", alg: "EdDSA", kty: "RSA" }, "Ed25519"],
    [{ ...verification, x: `${short}short` }, "Ed25519"],
  ])("that is invalid is named, its content never (%#)", (key, word) => {
    for (const problem of [validateSigningKey(key), validateVerificationKey(key)]) {
      expect(problem).toContain(word)
      expect(problem).not.toContain("short")
    }
  })

  it("whose 32 bytes are no public key is named: it would verify nothing, or what everybody can sign", async () => {
    const of = (bytes: Uint8Array) => ({ ...verification, x: Buffer.from(bytes).toString("base64url") })
    const ones = (first: number) => Uint8Array.from({ length: 32 }, (_, i) => (i === 0 ? first : 0))
    const orderEight = Buffer.from("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05", "hex")
    for (const bytes of [ones(0), ones(1), ones(2), new Uint8Array(32).fill(255), orderEight]) {
      expect(validateVerificationKey(of(bytes))).toMatch(/^x of an EdDSA key must be a public key/)
      expect(validateSigningKey({ ...signing, x: of(bytes).x })).toMatch(/^x of an EdDSA key must be a public key/)
    }
    for (let i = 0; i < 20; i++) {
      const pair = await generateTicketKeys("k")
      expect(validateVerificationKey(pair.verification)).toBeUndefined()
      expect(validateSigningKey(pair.signing)).toBeUndefined()
    }
  })

  it("that signs is private, and one that verifies public", () => {
    expect(validateSigningKey(signing)).toBeUndefined()
    expect(validateVerificationKey(verification)).toBeUndefined()
    expect(validateSigningKey(secret("k1"))).toBeUndefined()
    expect(validateVerificationKey(secret("k1"))).toBeUndefined()
    expect(validateSigningKey(verification)).toContain(`private half, with "d"`)
    expect(validateVerificationKey(signing)).toContain(`public half, without "d"`)
    expect(validateSigningKey({ ...signing, d: short })).toContain("d of an EdDSA key must be 32 bytes")
    expect(validateSigningKey({ ...signing, d: undefined })).toContain("d of an EdDSA key must be 32 bytes")
    // @ts-expect-error a public half does not sign
    const notSigning: SigningKey = verification
    // @ts-expect-error a private half does not verify
    const notVerifying: VerificationKey = signing
    expect(() => ticketSigner(notSigning)).toThrow(/^an EdDSA key that signs must be the private half/)
    expect(ticketVerifier(() => [notVerifying], "m")("a.b.c")).toBeInstanceOf(Promise)
  })

  it("of halves that do not belong together signs nothing", async () => {
    const other = await generateTicketKeys("k1")
    const mixed = { ...signing, x: other.verification.x }
    await expect(signTicket(mixed, { machine: "m" })).rejects.toThrow("x and d of an EdDSA key must belong together")
    await expect(async () => ticketSigner(mixed).ticketFor("m", 3000, "misha.test")).rejects.toThrow(
      "x and d of an EdDSA key must belong together",
    )
  })

  it("has a name", async () => {
    await expect(generateTicketKeys("")).rejects.toThrow("kid must be a non-empty string")
  })
})
