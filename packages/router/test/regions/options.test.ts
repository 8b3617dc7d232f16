import { generateTicketKeys } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { regions } from "../../src/regions.ts"
import type { RegionsOptions } from "../../src/regions.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"

const good = { self: "iad", balancers: { fra: "https://fra.example.com" } }
const secret = { kty: "oct", alg: "HS256", kid: "s", k: "A".repeat(43) } as const
const PEM = "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n"

describe("regions", () => {
  it.each<readonly [unknown, string]>([
    [undefined, "regions: options must be an object, got undefined"],
    [{ balancers: {} }, "regions: self must be a region's name of 1 to 64 characters, got undefined"],
    [{ ...good, self: "" }, "regions: self must be a region's name of 1 to 64 characters, got an empty string"],
    [{ ...good, self: "r".repeat(65) }, "regions: self must be a region's name of 1 to 64 characters, got a string"],
    [
      { ...good, balancers: { "": "https://a" } },
      "regions: balancers must be by a region's name of 1 to 64 characters",
    ],
    [{ self: "iad" }, "regions: balancers must be an object, got undefined"],
    [{ ...good, balancer: {} }, "regions: balancer is not an option (did you mean balancers?)"],
    ...[
      "fra.example.com",
      "https://",
      "ftp://a",
      "https://a/path",
      "https://a?b",
      "https://u:p@a",
      "https://a\\b",
      7,
    ].map(
      (url) =>
        [
          { ...good, balancers: { fra: typeof url === "string" ? url : { url } } },
          expect.stringMatching(/^regions: balancers\.fra(?:\.url)? must be http:\/\/ or https:\/\/ with a host/),
        ] as const,
    ),
    [
      { ...good, balancers: { fra: { url: "https://a", insecure: true } } },
      "regions: balancers.fra.insecure is not an option (the options are url, ca, pin)",
    ],
    [
      { ...good, balancers: { fra: { url: "https://a", ca: "x" } } },
      "regions: balancers.fra.ca must be certificates in PEM, got a string",
    ],
    [
      { ...good, balancers: { fra: { url: "https://a", pin: "x" } } },
      expect.stringMatching(/^regions: balancers\.fra\.pin must be "sha256\/\//),
    ],
    [
      { ...good, balancers: { fra: { url: "http://a", ca: PEM } } },
      "regions: balancers.fra.url must be https:// beside ca and pin",
    ],
    [{ ...good, keys: [] }, "regions: keys must be 1 to 4 keys"],
    [{ ...good, keys: [{ ...secret, k: "short" }] }, expect.stringMatching(/^regions: keys\[0\]: an HS256 key/)],
  ])("%j is refused by name", (options, message) => {
    expect(() => regions(options as RegionsOptions)).toThrow(TypeError)
    let said = ""
    try {
      regions(options as RegionsOptions)
    } catch (error) {
      said = (error as Error).message
    }
    expect(said).toEqual(message)
  })

  const router = (given: unknown, signingKey: typeof keys.signing | typeof secret = keys.signing) =>
    createRouter({
      grammar: hostnames,
      store: memoryStore(),
      providers: [],
      signingKey,
      regions: given as ReturnType<typeof regions>,
    })

  it("is made by its function", () => {
    expect(() => router({ self: "fra" })).toThrow("createRouter: regions must be what regions returns, got an object")
    expect(() => router(regions(good))).not.toThrow()
  })

  it("needs keys of its own where every machine has the router's", async () => {
    const problem = "createRouter: regions: keys must be given: every machine has the signingKey, a shared secret"
    expect(() => router(regions(good), secret)).toThrow(problem)
    const { signing } = await generateTicketKeys("hops")
    expect(() => router(regions({ ...good, keys: [signing] }), secret)).not.toThrow()
  })

  it("shows no key", () => {
    const made = regions({ ...good, keys: [secret] })
    expect(JSON.stringify(made)).not.toContain(secret.k)
  })
})
