/** The command's environment: EdgeProxy's variables with their defaults, and start errors that name variable and what is accepted. */
import { generateTicketKeys } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { edgeVariables, readEdgeConfig } from "../../src/commands/edge/edge-config.ts"
import { parseGoDuration } from "../../src/commands/edge/go-duration.ts"
import { parseListenAddress } from "../../src/commands/edge/listen-address.ts"
import { OTHER_REGION, REGION } from "./edgeproxy-tables.ts"

const url = "postgres://user:hunter2@localhost:5432/zeitwork"
const required = { EDGEPROXY_DATABASE_URL: url, EDGEPROXY_REGION_ID: REGION }
const standard = { ...required, INGRESS_EDGE_MODE: "standard" }
const fed = { ...standard, INGRESS_EDGE_SOURCE: "feed" }
const KEY = JSON.stringify((await generateTicketKeys("test")).signing)
const problemsOf = (environment: Record<string, string>): readonly string[] => {
  const read = readEdgeConfig(environment)
  return "problems" in read ? read.problems : []
}
const configOf = (environment: Record<string, string>) => {
  const read = readEdgeConfig({ ...required, ...environment })
  if ("problems" in read) throw new Error(read.problems.join("\n"))
  return read.config
}

describe("a Go duration", () => {
  it.each([
    ["10s", 10_000],
    ["1m30s", 90_000],
    ["500ms", 500],
    ["1h", 3_600_000],
    ["1.5h", 5_400_000],
    [".5s", 500],
    ["1h2m3s4ms", 3_723_004],
    ["100us", 0.1],
    ["100µs", 0.1],
    ["0", 0],
  ])("%s is %d ms", (text, ms) => {
    expect(parseGoDuration(text)).toBeCloseTo(ms, 9)
  })

  it.each(["", "10", "s", "10 s", "-1s", "+1s", "1d", "1S", "1s1", "1e3s", "..s", "1.2.3s", ".", "９s", "1s\n"])(
    "%j is invalid",
    (text) => {
      expect(parseGoDuration(text)).toBeUndefined()
    },
  )
})

describe("a listen address", () => {
  it.each([
    [":8080", { port: 8080 }],
    ["127.0.0.1:8080", { hostname: "127.0.0.1", port: 8080 }],
    ["localhost:0", { hostname: "localhost", port: 0 }],
    ["[::1]:8080", { hostname: "::1", port: 8080 }],
    ["[::]:65535", { hostname: "::", port: 65_535 }],
  ])("%s is read", (text, address) => {
    expect(parseListenAddress(text)).toEqual(address)
  })

  it.each(["", "8080", ":", ":http", "::1:8080", "[::1]", ":65536", "http://a:80", "a b:80", "[]:80"])(
    "%j is invalid",
    (text) => {
      expect(parseListenAddress(text)).toBeUndefined()
    },
  )
})

describe("the configuration", () => {
  it("has EdgeProxy's defaults", () => {
    expect(configOf({})).toEqual({
      mode: "edgeproxy",
      listen: { port: 8080 },
      databaseUrl: url,
      region: REGION,
      source: "sql",
      intervalMs: 10_000,
      logLevel: "info",
      drainMs: 30_000,
      allowCidrs: ["10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "fc00::/7"],
    })
    expect(configOf({ EDGEPROXY_HTTP_ADDR: "", EDGEPROXY_UPDATE_INTERVAL: "" })).toEqual(configOf({}))
  })

  it.each([
    ["debug", "debug"],
    ["WARN", "warn"],
    ["error", "error"],
    ["verbose", "info"],
    ["", "info"],
  ])("takes the log level %j for %s", (given, level) => {
    expect(configOf({ EDGEPROXY_LOG_LEVEL: given }).logLevel).toBe(level)
  })

  it.each([REGION.toUpperCase(), `urn:uuid:${REGION}`, `{${REGION}}`, REGION.replaceAll("-", "")])(
    "takes the region %s, as Go's uuid.Parse does",
    (given) => {
      expect(configOf({ EDGEPROXY_REGION_ID: given }).region).toBe(REGION)
    },
  )

  it.each<[string, Record<string, string>, RegExp]>([
    ["1-14: no database", { EDGEPROXY_REGION_ID: REGION }, /^EDGEPROXY_DATABASE_URL: is not set; expected a URL/],
    ["1-14: no region", { EDGEPROXY_DATABASE_URL: url }, /^EDGEPROXY_REGION_ID: invalid region id: is not set/],
    [
      "1-14: a bad region",
      { ...required, EDGEPROXY_REGION_ID: "eu-1" },
      /^EDGEPROXY_REGION_ID: invalid region id: "eu-1"/,
    ],
    ["half a brace", { ...required, EDGEPROXY_REGION_ID: `{${REGION}` }, /invalid region id/],
    [
      "a bad interval",
      { ...required, EDGEPROXY_UPDATE_INTERVAL: "10" },
      /^EDGEPROXY_UPDATE_INTERVAL: "10" is not accepted; expected .*Go duration/,
    ],
    ["no interval at all", { ...required, EDGEPROXY_UPDATE_INTERVAL: "0s" }, /^EDGEPROXY_UPDATE_INTERVAL/],
    [
      "a bad address",
      { ...required, EDGEPROXY_HTTP_ADDR: "8080" },
      /^EDGEPROXY_HTTP_ADDR: "8080" is not accepted; expected .*:8080/,
    ],
    ["a bad mode", { ...required, INGRESS_EDGE_MODE: "better" }, /^INGRESS_EDGE_MODE: .*standard/],
    ["a bad range", { ...required, INGRESS_EDGE_ALLOW_CIDRS: "10.0.0.5/8" }, /^INGRESS_EDGE_ALLOW_CIDRS/],
    ["every address", { ...required, INGRESS_EDGE_ALLOW_CIDRS: "0.0.0.0/0" }, /^INGRESS_EDGE_ALLOW_CIDRS/],
    [
      "an option that would do nothing",
      { ...required, INGRESS_EDGE_ASK_ADDR: ":9180" },
      /^INGRESS_EDGE_ASK_ADDR: is set without INGRESS_EDGE_MODE=standard/,
    ],
    [
      "a bad source",
      { ...standard, INGRESS_EDGE_SOURCE: "push" },
      /^INGRESS_EDGE_SOURCE: "push" .*sql, registry or feed/,
    ],
    [
      "a source in EdgeProxy's mode",
      { ...required, INGRESS_EDGE_SOURCE: "sql" },
      /^INGRESS_EDGE_SOURCE: is set without INGRESS_EDGE_MODE=standard/,
    ],
    [
      "a state file of polled tables",
      { ...standard, INGRESS_EDGE_STATE: "routes.packed" },
      /^INGRESS_EDGE_STATE: is set without INGRESS_EDGE_SOURCE=registry or feed/,
    ],
    [
      "domains of polled tables",
      { ...standard, INGRESS_EDGE_DOMAINS: "iterate.app" },
      /^INGRESS_EDGE_DOMAINS: is set without INGRESS_EDGE_SOURCE=registry or feed/,
    ],
    ["no domain", { ...fed, INGRESS_EDGE_DOMAINS: "https://iterate.app" }, /^INGRESS_EDGE_DOMAINS: "https/],
    [
      "redirects of a feed",
      { ...fed, INGRESS_EDGE_REDIRECTS_SQL: "select 1" },
      /^INGRESS_EDGE_REDIRECTS_SQL: is set without INGRESS_EDGE_SOURCE=sql/,
    ],
    [
      "a feed that is looked at too seldom",
      { ...fed, EDGEPROXY_UPDATE_INTERVAL: "61s" },
      /^EDGEPROXY_UPDATE_INTERVAL: "61s" is not accepted/,
    ],
    [
      "a key without regions",
      { ...standard, INGRESS_EDGE_SIGNING_KEY: KEY },
      /^INGRESS_EDGE_SIGNING_KEY: is set without INGRESS_EDGE_BALANCERS/,
    ],
    [
      "regions without a key",
      { ...standard, INGRESS_EDGE_BALANCERS: `${OTHER_REGION}=http://10.0.0.1` },
      /^INGRESS_EDGE_BALANCERS: is set without INGRESS_EDGE_SIGNING_KEY/,
    ],
    ...["fra=http://10.0.0.1", `${OTHER_REGION}=10.0.0.1`, `${OTHER_REGION}=http://10.0.0.1/path`, OTHER_REGION].map(
      (balancers): [string, Record<string, string>, RegExp] => [
        `the balancers ${balancers}`,
        { ...standard, INGRESS_EDGE_SIGNING_KEY: KEY, INGRESS_EDGE_BALANCERS: balancers },
        /^INGRESS_EDGE_BALANCERS: .* is not accepted; expected .*fra\.example\.com/,
      ],
    ),
    [
      "one region twice",
      {
        ...standard,
        INGRESS_EDGE_SIGNING_KEY: KEY,
        INGRESS_EDGE_BALANCERS: `${OTHER_REGION}=http://10.0.0.1,${OTHER_REGION.toUpperCase()}=http://10.0.0.2`,
      },
      /^INGRESS_EDGE_BALANCERS: .* is not accepted/,
    ],
  ])("is refused with %s", (_, environment, problem) => {
    expect(problemsOf(environment)).toEqual([expect.stringMatching(problem)])
  })

  it.each([
    "hunter2",
    JSON.stringify({ kty: "oct", alg: "HS256", kid: "hunter2", k: "A".repeat(43) }),
    KEY.replace('"d"', '"D"'),
  ])("is refused with a key that is no pair, and does not show it", (key) => {
    const balancers = { INGRESS_EDGE_BALANCERS: `${OTHER_REGION}=http://10.0.0.1` }
    expect(problemsOf({ ...standard, ...balancers, INGRESS_EDGE_SIGNING_KEY: key })).toEqual([
      expect.stringMatching(/^INGRESS_EDGE_SIGNING_KEY: is not accepted; expected .*--generate-key/),
    ])
  })

  it("has a name for a region, and 1 s, where the source is a feed", () => {
    expect(configOf({ ...fed, EDGEPROXY_REGION_ID: "fra" })).toMatchObject({
      source: "feed",
      region: "fra",
      intervalMs: 1_000,
    })
  })

  it("reads where the edges of other regions are, by their ids as tables have them", () => {
    const INGRESS_EDGE_BALANCERS = ` ${OTHER_REGION.toUpperCase()}=https://fra.example.com , {${REGION}}=http://10.0.0.5:8080`
    const { hops } = configOf({ ...standard, INGRESS_EDGE_SIGNING_KEY: KEY, INGRESS_EDGE_BALANCERS })
    expect(hops).toEqual({
      signingKey: JSON.parse(KEY),
      balancers: { [OTHER_REGION]: "https://fra.example.com", [REGION]: "http://10.0.0.5:8080" },
    })
  })

  it("is refused with all problems at once, and shows no password", () => {
    const problems = problemsOf({ EDGEPROXY_DATABASE_URL: "mysql://root:hunter2@db", EDGEPROXY_HTTP_ADDR: "x" })
    expect(problems).toHaveLength(3)
    expect(problems.join()).not.toContain("hunter2")
  })

  it("names every variable in the help", () => {
    expect(Object.keys(edgeVariables).filter((name) => name.startsWith("EDGEPROXY_"))).toEqual([
      "EDGEPROXY_HTTP_ADDR",
      "EDGEPROXY_DATABASE_URL",
      "EDGEPROXY_REGION_ID",
      "EDGEPROXY_UPDATE_INTERVAL",
      "EDGEPROXY_LOG_LEVEL",
    ])
  })
})
