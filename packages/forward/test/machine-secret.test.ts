import { hkdfSync } from "node:crypto"
import { describe, expect, it } from "vitest"
import { framed } from "../src/framed.ts"
import { generateTicketKeys, machineKey } from "../src/forward.ts"
import type { SharedSecretKey } from "../src/forward.ts"
import { validateVerificationKey } from "../src/internal.ts"

const { signing, verification } = await generateTicketKeys("k1")
const shared: SharedSecretKey = { kty: "oct", alg: "HS256", kid: "k1", k: Buffer.alloc(32, 7).toString("base64url") }

describe("a machine's key", () => {
  it("verifies, and holds the machine's own secret and nothing that signs", async () => {
    const key = await machineKey(signing, "mach_1")
    const { machineSecret, ...rest } = key
    expect(rest).toEqual(verification)
    expect(Buffer.from(machineSecret, "base64url")).toHaveLength(32)
    expect(validateVerificationKey(key)).toBeUndefined()
    expect(JSON.stringify(key)).not.toContain(signing.d)
  })

  it("is derived by HKDF of the private half, so that no secret has to be stored", async () => {
    const info = framed("project-ingress/machine-secret/1", "k1", "mach_1")
    const expected = Buffer.from(hkdfSync("sha256", Buffer.from(signing.d, "base64url"), "", info, 32))
    expect((await machineKey(signing, "mach_1")).machineSecret).toBe(expected.toString("base64url"))
  })

  it("is the same each time, and another one for each machine, kid and pair", async () => {
    const other = await generateTicketKeys("k1")
    const keys = [
      machineKey(signing, "mach_1"),
      machineKey(signing, "mach_2"),
      machineKey({ ...signing, kid: "k2" }, "mach_1"),
      machineKey(other.signing, "mach_1"),
    ]
    const secrets = (await Promise.all(keys)).map(({ machineSecret }) => machineSecret)
    expect(new Set(secrets).size).toBe(4)
    expect((await machineKey(signing, "mach_1")).machineSecret).toBe(secrets[0])
  })

  it("of HS256 is the shared secret itself, from which every machine derives all the others'", async () => {
    expect(await machineKey(shared, "mach_1")).toBe(shared)
  })

  it("is refused for a key that does not sign, and for no machine", async () => {
    await expect(machineKey(verification as never, "mach_1")).rejects.toThrow(/must be the private half/)
    await expect(machineKey(signing, "")).rejects.toThrow("machine must be a non-empty string")
  })

  it("with a secret of another length is invalid, and its content is never named", () => {
    const problem = validateVerificationKey({ ...verification, machineSecret: "c2hvcnQ" })
    expect(problem).toBe("machineSecret of a key must be 32 bytes in base64url")
  })
})

describe("framed texts", () => {
  it("are other bytes for every other list", () => {
    const lists = [["ab", "c"], ["a", "bc"], ["abc"], ["abc", ""], ["", "abc"], ["a", "b", "c"], ["ab\0", "c"]]
    expect(new Set(lists.map((list) => Buffer.from(framed(...list)).toString("hex"))).size).toBe(lists.length)
  })
})
