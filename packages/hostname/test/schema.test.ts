import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Schema from "effect/Schema"
import { describe, expect, it } from "vitest"
import { parse } from "../src/hostname.ts"
import { TargetFromHostname, TargetSchema } from "../src/schema.ts"
import { grammar } from "./grammar.ts"
import { vectors } from "./vectors-check.ts"

const codec = TargetFromHostname(grammar)
const decode = Schema.decodeUnknownEffect(codec)
const encode = Schema.encodeUnknownEffect(codec)
const message = <A>(effect: Effect.Effect<A, Schema.SchemaError>) => Effect.runSync(Effect.flip(effect)).message

describe("TargetFromHostname", () => {
  it.each(vectors.cases)("decodes $host as parse does", ({ host, expect: { tag } }) => {
    const exit = Effect.runSyncExit(decode(host))
    expect(Exit.isSuccess(exit) ? exit.value : "refused").toStrictEqual(
      tag === "Target" ? parse(grammar, host) : "refused",
    )
  })

  it("encodes what it decoded, in canonical form", () => {
    const roundTrip = decode("Opencode.Misha.iterate.app:443").pipe(Effect.flatMap(encode))
    expect(Effect.runSync(roundTrip)).toBe("opencode--misha.iterate.app")
  })

  it("says why a host is refused", () => {
    expect(message(decode("google.com"))).toContain("google.com")
    expect(message(decode("banana_test.iterate.app"))).toContain('"banana_test" is not a slug')
    expect(message(decode(42))).toContain("string")
  })

  it("reports an input that is no target, by the schema of targets", () => {
    const target = { _tag: "Target", kind: "machine", machine: "mach_1", port: 80, domain: "iterate.app" }
    expect(Schema.decodeUnknownSync(TargetSchema)(target)).toEqual(target)
    for (const port of [0, 65_536, 80.5, "80"]) {
      expect(() => Schema.decodeUnknownSync(TargetSchema)({ ...target, port })).toThrow("port")
    }
  })

  it("says why a target has no hostname", () => {
    const misha = { _tag: "Target", kind: "project", slug: "misha", domain: "iterate.app" }
    expect(message(encode({ ...misha, slug: "a".repeat(51) }))).toContain("too long")
    expect(message(encode({ ...misha, slug: "www" }))).toContain("name")
    expect(message(encode({ ...misha, port: 65_536 }))).toContain("65535")
    expect(message(encode({ ...misha, customDomain: "example.com", domain: undefined }))).toContain("string")
  })
})
