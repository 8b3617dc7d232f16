import { inspect } from "node:util"
import { describe, expect, it } from "vitest"
import { vendorApi } from "../src/adapter-kit/vendor-api.ts"
import { cloudflareContainer } from "../src/adapters/cloudflare/container.ts"
import { cloudflareTunnel, createTunnel, deleteTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { daytona, signedPreviewUrl } from "../src/adapters/daytona/daytona.ts"
import { docker } from "../src/adapters/docker/docker.ts"
import { e2b } from "../src/adapters/e2b/e2b.ts"
import { vercelSandbox } from "../src/adapters/vercel-sandbox/vercel-sandbox.ts"
import { cloudflareSandbox } from "../src/adapters/cloudflare/sandbox.ts"
import { fly } from "../src/adapters/fly/fly.ts"
import { sprites } from "../src/adapters/fly/sprites.ts"

/** In every value that an error must not repeat. */
const CANARY = "canary-51f7"
const certificate = `-----BEGIN CERTIFICATE-----\n${CANARY}\n-----END CERTIFICATE-----\n`
const machine = { id: "mach_1", type: "daytona", externalId: "s", metadata: {} }
const respond = async () => new Response()
const namespace = { getByName: () => ({ fetch: respond, containerFetch: respond }) }
const tunnelId = "11111111-2222-3333-4444-555555555555"
const never = async (): Promise<Response> => expect.unreachable("a request was sent")

interface Subject {
  readonly name: string
  /** Called with anything, as JavaScript may call it. */
  readonly call: (options: never) => unknown
  /** Where its options stand in the messages: `request.port`. */
  readonly at?: string
  readonly valid: Readonly<Record<string, unknown>>
  readonly required: readonly string[]
  /** Invalid values by the name of the field. Every field is in it. */
  readonly invalid: Readonly<Record<string, readonly unknown[]>>
}

const notFunctions = [null, 1, "fetch", {}]
const notSecrets = [null, true, "", `${CANARY} ${CANARY}`, `${CANARY}\r\nx: y`, `${CANARY}ä`, {}, [CANARY]]
const notBases = [
  null,
  1,
  "",
  `ftp://${CANARY}`,
  `https://${CANARY}@host`,
  "https://host?",
  {},
  new URL("https://host"),
]
const notInsecureBases = [...notBases, "http://api.example"]
const notPorts = [null, 0, -1, 1.5, 65_536, Number.NaN, Infinity, "8080", [8080]]
const notIds = [null, 1, "", "../zones", "a".repeat(65), {}]
const notSignals = [null, 1, {}, new AbortController()]
const fetch = never

const api = { apiToken: CANARY, accountId: "a1", zoneId: "z1", fetch }
const apiInvalid = {
  apiToken: notSecrets,
  accountId: notIds,
  zoneId: notIds,
  fetch: notFunctions,
  apiBase: notInsecureBases,
}

const subjects: readonly Subject[] = [
  {
    name: "docker",
    call: docker,
    valid: {
      host: "tcp://127.0.0.1:1",
      tls: { ca: certificate },
      env: {},
      proxyPort: 1,
      allowCidrs: ["10.0.0.0/8"],
      allowHosts: ["*.example.com"],
    },
    required: [],
    invalid: {
      host: [null, 1, "", "ssh://host", `tcp://u:${CANARY}@host`, {}],
      env: [null, 1, "DOCKER_HOST", []],
      tls: [null, 1, CANARY, []],
      proxyPort: notPorts,
      allowCidrs: [null, "10.0.0.0/8", [""], [1], [undefined], {}],
      allowHosts: [null, "example.com", [""], [1], [undefined], {}],
    },
  },
  {
    name: "docker",
    at: "tls",
    call: (tls: never) => docker({ tls }),
    valid: { ca: certificate },
    required: [],
    invalid: { ca: [null, 1, "", CANARY, {}], cert: [null, 1, "", CANARY], key: [null, 1, "", CANARY, certificate] },
  },
  {
    name: "fly",
    call: fly,
    valid: { token: CANARY, fetch, apiBase: "https://api.example" },
    required: ["token"],
    invalid: { token: notSecrets, fetch: notFunctions, apiBase: notInsecureBases },
  },
  {
    name: "sprites",
    call: sprites,
    valid: { token: CANARY, urlToken: CANARY, fetch, apiBase: "https://api.example" },
    required: ["token"],
    invalid: { token: notSecrets, urlToken: notSecrets, fetch: notFunctions, apiBase: notInsecureBases },
  },
  {
    name: "daytona",
    call: daytona,
    valid: { apiKey: CANARY, fetch, apiBase: "https://api.example", organization: "o", api: "v0" },
    required: ["apiKey"],
    invalid: {
      apiKey: notSecrets,
      fetch: notFunctions,
      apiBase: notBases,
      organization: notSecrets,
      api: [null, 0, "", "v9", "constructor", {}],
    },
  },
  {
    name: "signedPreviewUrl",
    call: (options: never) => signedPreviewUrl(options, machine, { port: 80 }),
    valid: { apiKey: CANARY, fetch: async () => Response.json({ url: "https://80-s.example" }) },
    required: ["apiKey"],
    invalid: { apiKey: notSecrets, fetch: notFunctions, apiBase: notBases, organization: notSecrets, api: ["v9"] },
  },
  {
    name: "signedPreviewUrl",
    at: "request",
    call: (request: never) =>
      signedPreviewUrl(
        { apiKey: CANARY, fetch: async () => Response.json({ url: "https://s.example" }) },
        machine,
        request,
      ),
    valid: { port: 80, lifetimeMs: 1_000, signal: new AbortController().signal },
    required: ["port"],
    invalid: { port: [null, "80", [80]], lifetimeMs: [null, "1000"], signal: notSignals },
  },
  {
    name: "e2b",
    call: e2b,
    valid: {
      apiKey: CANARY,
      fetch,
      domain: "sandboxes.example.com",
      apiBase: "https://api.example",
      idleTimeoutMs: 60_000,
    },
    required: ["apiKey"],
    invalid: {
      apiKey: notSecrets,
      fetch: notFunctions,
      domain: [
        null,
        1,
        "",
        "localhost",
        "E2B.app",
        "e2b.app.",
        ".e2b.app",
        "e2b.app/x",
        `${CANARY}@e2b.app`,
        "10.0.0.1",
        {},
      ],
      apiBase: notInsecureBases,
      idleTimeoutMs: [null, "300000", 59_999, 3_600_001, 60_000.5, Infinity],
    },
  },
  {
    name: "vercelSandbox",
    call: vercelSandbox,
    valid: {
      token: CANARY,
      teamId: "team_1",
      projectId: "prj_1",
      startCommand: ["machine-proxy"],
      fetch,
      apiBase: "https://a.example",
      idleTimeoutMs: 60_000,
    },
    required: ["token", "teamId", "projectId"],
    invalid: {
      token: notSecrets,
      teamId: notSecrets,
      projectId: notSecrets,
      startCommand: [null, "machine-proxy", [], [""], [1], ["a", null], {}],
      fetch: notFunctions,
      apiBase: notInsecureBases,
      idleTimeoutMs: [null, "300000", 59_999, 60_000.5, Infinity],
    },
  },
  {
    name: "cloudflareTunnel",
    call: cloudflareTunnel,
    valid: { access: { clientId: CANARY, clientSecret: CANARY } },
    required: [],
    invalid: { access: [null, 1, CANARY, [], true] },
  },
  {
    name: "cloudflareTunnel",
    at: "access",
    call: (access: never) => cloudflareTunnel({ access }),
    valid: { clientId: CANARY, clientSecret: CANARY },
    required: ["clientId", "clientSecret"],
    invalid: { clientId: notSecrets, clientSecret: notSecrets },
  },
  {
    name: "cloudflareContainer",
    call: (options: never) => cloudflareContainer(namespace, options),
    valid: { proxyPort: 1 },
    required: [],
    invalid: { proxyPort: notPorts },
  },
  {
    name: "cloudflareSandbox",
    call: (options: never) => cloudflareSandbox(namespace, options),
    valid: { proxyPort: 1024 },
    required: [],
    invalid: { proxyPort: [...notPorts, 80, 1023, 3000] },
  },
  {
    name: "createTunnel",
    call: (options: never) => createTunnel(options, { name: "m1", hostname: "m1.example.com" }),
    valid: { ...api, fetch: async () => new Response(null, { status: 500 }) },
    required: ["apiToken", "accountId", "zoneId"],
    invalid: apiInvalid,
  },
  {
    name: "createTunnel",
    at: "request",
    call: (request: never) => createTunnel({ ...api, fetch: async () => new Response(null, { status: 500 }) }, request),
    valid: {
      name: "m1",
      hostname: "m1.example.com",
      service: "http://localhost:1",
      signal: new AbortController().signal,
    },
    required: ["name", "hostname"],
    invalid: {
      name: [null, 1, "", "a\nb", {}],
      hostname: [null, 1, "", "M1.example.com", "localhost", {}],
      service: [null, 1, "", "localhost:8080", `http://${CANARY}@localhost`, {}],
      signal: notSignals,
    },
  },
  {
    name: "deleteTunnel",
    call: (options: never) => deleteTunnel(options, { id: tunnelId, hostname: "m1.example.com" }),
    valid: { ...api, fetch: async () => new Response(null, { status: 500 }) },
    required: ["apiToken", "accountId", "zoneId"],
    invalid: apiInvalid,
  },
  {
    name: "vendorApi",
    call: vendorApi,
    valid: {
      apiBase: "https://api.example",
      secrets: { apiKey: CANARY },
      headers: { authorization: CANARY },
      fetch,
      secretsInTheClear: false,
      causeOf: () => "",
    },
    required: ["apiBase", "secrets", "headers"],
    invalid: {
      apiBase: notInsecureBases,
      secrets: [null, 1, CANARY, [CANARY]],
      headers: [null, 1, CANARY, [], new Headers(), { "x y": "1" }, { x: `${CANARY}\n` }, { x: 1 }, { x: null }],
      fetch: notFunctions,
      secretsInTheClear: [null, 0, "yes", {}],
      causeOf: notFunctions,
    },
  },
]

/** What a call throws or rejects with; `undefined` when it succeeds or fails for another reason than its options. */
const refusal = async ({ call }: Subject, options: unknown): Promise<Error | undefined> => {
  try {
    await (call as (options: unknown) => unknown)(options)
  } catch (error) {
    if (error instanceof TypeError) return error
  }
  return undefined
}

describe.each(
  subjects.map(
    (subject) => [subject.at === undefined ? subject.name : `${subject.at} of ${subject.name}`, subject] as const,
  ),
)("%s", (_, subject) => {
  const { name, at, valid, required, invalid } = subject
  const path = (field: string): string => (at === undefined ? field : `${at}.${field}`)

  it("accepts valid options, all of them and the required ones", async () => {
    expect(await refusal(subject, valid)).toBeUndefined()
    const fewest = Object.fromEntries(
      Object.entries(valid).filter(([field]) => required.includes(field) || field === "fetch"),
    )
    expect(await refusal(subject, fewest)).toBeUndefined()
  })

  it.each([null, 1, "options", [], () => {}])("refuses %j for its options", async (options) => {
    expect((await refusal(subject, options))?.message).toMatch(
      new RegExp(`^${name}: ${at ?? "options"} must be an object, got `),
    )
  })

  it.each(required)("requires %s", async (field) => {
    const missing = new RegExp(`^${name}: ${path(field)} must be .+, got undefined$`)
    expect((await refusal(subject, { ...valid, [field]: undefined }))?.message).toMatch(missing)
    expect((await refusal(subject, {}))?.message).toMatch(/, got undefined$/)
  })

  it.each(Object.keys(invalid))("names an unknown field that was meant to be %s", async (field) => {
    const typo = `${field.slice(0, 1)}_${field.slice(1)}`
    expect((await refusal(subject, { ...valid, [typo]: 1 }))?.message).toMatch(
      new RegExp(`^${name}: ${path(typo)} is not an option(?: \\(did you mean ${path(field)}\\?\\))?$`),
    )
  })

  it.each(Object.entries(invalid).flatMap(([field, values]) => values.map((value) => [field, value] as const)))(
    "refuses the %s %j and does not repeat it",
    async (field, value) => {
      const error = await refusal(subject, { ...valid, [field]: value })
      expect(error?.message).toMatch(
        new RegExp(`^${name}: ${path(field).replace(".", "\\.")} must be .+, got .+$`, "s"),
      )
      expect(inspect(error, { depth: Infinity, showHidden: true })).not.toContain(CANARY)
    },
  )
})

describe("a missing options object", () => {
  it.each([
    ["fly", fly],
    ["daytona", daytona],
    ["e2b", e2b],
    ["vercelSandbox", vercelSandbox],
    ["vendorApi", vendorApi],
  ] as const)("of %s is named", (name, make) => {
    expect(() => (make as () => unknown)()).toThrow(new TypeError(`${name}: options must be an object, got undefined`))
  })

  it("of the functions that make links and tunnels is named", async () => {
    await expect((signedPreviewUrl as () => Promise<unknown>)()).rejects.toThrow(
      /^signedPreviewUrl: \w+ must be an object/,
    )
    await expect((createTunnel as () => Promise<unknown>)()).rejects.toThrow("createTunnel: options must be an object")
    await expect((deleteTunnel as () => Promise<unknown>)()).rejects.toThrow("deleteTunnel: options must be an object")
    await expect((deleteTunnel as (options: unknown) => Promise<unknown>)(api)).rejects.toThrow(
      "deleteTunnel: tunnel.id must be a tunnel's UUID, got undefined",
    )
  })

  it.each([undefined, null, {}, { getByName: 1 }])("%j is no namespace of a Durable Object class", (value) => {
    expect(() => cloudflareContainer(value as never)).toThrow(/^cloudflareContainer: namespace must be .*, got /)
    expect(() => cloudflareSandbox(value as never)).toThrow(/^cloudflareSandbox: namespace must be .*, got /)
  })
})

it.each([{ allowCidrs: ["10.0.0.0"] }, { allowCidrs: ["10.0.0.0/33"] }, { allowHosts: ["10.0.0.1"] }])(
  "docker refuses the ranges and names of %j",
  (options) => expect(() => docker(options)).toThrow(/^docker: allow(?:Cidrs|Hosts): .* is not a /),
)

it("a client certificate and its key are given together", () => {
  const together = new TypeError("docker: tls.cert and tls.key must be given together")
  expect(() => docker({ tls: { cert: certificate } })).toThrow(together)
})

it.each([
  [
    "docker",
    () =>
      docker({
        host: "tcp://h:1",
        tls: { ca: certificate, cert: certificate, key: certificate.replaceAll("CERTIFICATE", "PRIVATE KEY") },
      }),
  ],
  ["fly", () => fly({ token: CANARY })],
  ["daytona", () => daytona({ apiKey: CANARY, organization: CANARY })],
  ["e2b", () => e2b({ apiKey: CANARY })],
  ["vercelSandbox", () => vercelSandbox({ token: CANARY, teamId: "team_1", projectId: "prj_1" })],
  ["cloudflareTunnel", () => cloudflareTunnel({ access: { clientId: CANARY, clientSecret: CANARY } })],
  ["vendorApi", () => vendorApi({ apiBase: "https://a.example", secrets: { k: CANARY }, headers: { x: CANARY } })],
] as const)("what %s gives shows no secret, however deep it is printed", (_, make) => {
  const given = make()
  expect(inspect(given, { depth: Infinity, showHidden: true, getters: true })).not.toContain(CANARY)
  expect(JSON.stringify(given)).not.toContain(CANARY)
})
