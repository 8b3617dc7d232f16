import { mkdtempSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, describe, expect, it } from "vitest"
import { readConfig } from "../src/config.ts"

const key = { kty: "oct", alg: "HS256", kid: "k1", k: "s3cr3t-".repeat(8) }
const keys = JSON.stringify({ keys: [key] })
const good = { INGRESS_MACHINE: "mach_a", INGRESS_TICKET_KEYS: keys }
const read = (environment: Record<string, string>, insecure = false) =>
  readConfig({ ...good, ...environment }, { insecure })
const problemsOf = (result: ReturnType<typeof readConfig>) => ("problems" in result ? result.problems : [])

describe("the configuration", () => {
  it("needs a machine and keys, the rest has defaults", () => {
    expect(read({})).toEqual({
      warnings: [],
      config: {
        host: "0.0.0.0",
        port: 8080,
        log: "access",
        drainMs: 10_000,
        proxy: { machine: "mach_a", keys: [key], ports: {} },
      },
    })
  })

  it("reads every variable", () => {
    const result = read({
      HOST: "::1",
      PORT: "0",
      INGRESS_TICKET_KEYS: JSON.stringify([key]),
      INGRESS_TLS_KEY_FILE: "/var/lib/ingress/tls.pem",
      INGRESS_ALLOW_PORTS: "3000, 4000-4999",
      INGRESS_DENY_PORTS: "22",
      INGRESS_HOST_POLICY: "preserve",
      INGRESS_DEFAULT_PORT: "8000",
      INGRESS_LOOPBACK: "127.0.0.2",
      INGRESS_HEADER_PREFIX: "x-acme",
      INGRESS_LOG: "off",
      INGRESS_DRAIN_MS: "0",
      INGRESS_DRAIN_GRACE_MS: "600000",
      INGRESS_READY_FD: "3",
      INGRESS_MAX_CONNECTIONS: "5",
      INGRESS_HEADERS_TIMEOUT_MS: "100",
      INGRESS_KEEP_ALIVE_MS: "3600000",
      INGRESS_BODY_IDLE_MS: "1000",
      INGRESS_MIN_BODY_RATE: "100",
      INGRESS_UPSTREAM_HEADERS_TIMEOUT_MS: "0",
    })
    expect(result).toMatchObject({
      config: {
        host: "::1",
        port: 0,
        log: "off",
        drainMs: 0,
        tlsKeyFile: "/var/lib/ingress/tls.pem",
        graceMs: 600_000,
        readyFd: 3,
        proxy: {
          keys: [key],
          ports: { allow: [3000, [4000, 4999]], deny: [22] },
          host: "preserve",
          defaultPort: 8000,
          loopback: "127.0.0.2",
          headerNames: { ticket: "x-acme-ticket" },
          limits: {
            maxConnections: 5,
            headersTimeoutMs: 100,
            keepAliveTimeoutMs: 3_600_000,
            bodyIdleTimeoutMs: 1_000,
            upstreamHeadersTimeoutMs: 0,
          },
        },
      },
    })
  })

  it.each([
    ["HOST", "a b", "IP address"],
    ["PORT", "80a", "0 to 65535"],
    ["PORT", "65536", "0 to 65535"],
    ["PORT", "", "0 to 65535"],
    ["PORT", "0x50", "0 to 65535"],
    ["INGRESS_MACHINE", "", "1 to 255"],
    ["INGRESS_MACHINE", "mach\u001b[2J", "1 to 255"],
    ["INGRESS_TLS_KEY_FILE", "", "PEM file"],
    ["INGRESS_ALLOW_PORTS", "", "1 to 65535"],
    ["INGRESS_ALLOW_PORTS", "3000,", "1 to 65535"],
    ["INGRESS_ALLOW_PORTS", "5-4", "1 to 65535"],
    ["INGRESS_DENY_PORTS", "1-2-3", "1 to 65535"],
    ["INGRESS_DENY_PORTS", "-5", "1 to 65535"],
    ["INGRESS_HOST_POLICY", "Localhost", "localhost or preserve"],
    ["INGRESS_DEFAULT_PORT", "0", "1 to 65535"],
    ["INGRESS_LOOPBACK", "", "127.x.y.z or ::1"],
    ["INGRESS_LOOPBACK", "localhost", "127.x.y.z or ::1"],
    ["INGRESS_HEADER_PREFIX", "X_acme", "1 to 64"],
    ["INGRESS_LOG", "debug", "access, errors or off"],
    ["INGRESS_DRAIN_MS", "10s", "0 to 600000"],
    ["INGRESS_READY_FD", "2", "3 to 65535"],
    ["INGRESS_MAX_CONNECTIONS", "0", "1 to 1000000"],
    ["INGRESS_HEADERS_TIMEOUT_MS", "0", "100 to 600000; default 15000"],
    ["INGRESS_KEEP_ALIVE_MS", "75s", "100 to 3600000; default 75000"],
    ["INGRESS_BODY_IDLE_MS", "", "100 to 3600000; default 60000"],
    ["INGRESS_UPSTREAM_HEADERS_TIMEOUT_MS", "-1", "0 to 3600000; default 0"],
  ])("refuses %s=%j and reports what it accepts", (name, value, accepted) => {
    const problems = problemsOf(read({ [name]: value }))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toContain(name)
    expect(problems[0]).toContain(accepted)
    expect(problems[0]).toContain(JSON.stringify(value))
  })

  it("names all problems at once", () => {
    expect(problemsOf(readConfig({ PORT: "x", INGRESS_LOG: "y" }, { insecure: false }))).toHaveLength(4)
  })

  it.each([
    ["no JSON", `${keys}s3cr3t`],
    ["another shape", '{"key":"s3cr3t"}'],
    ["null", "null"],
    ["no key", '{"keys":[]}'],
    ["a short secret", JSON.stringify([{ ...key, k: "s3cr3t" }])],
    ["an unknown algorithm", JSON.stringify([{ ...key, alg: "none" }])],
    ["a private key", JSON.stringify([{ kty: "OKP", crv: "Ed25519", x: "x", d: "s3cr3t", kid: "k", alg: "EdDSA" }])],
    ["a string", '["s3cr3t"]'],
  ])("refuses %s as keys without showing them", (_, value) => {
    const problems = problemsOf(read({ INGRESS_TICKET_KEYS: value }))
    expect(problems).toHaveLength(1)
    expect(problems[0]).toMatch(/^INGRESS_TICKET_KEYS/)
    expect(problems[0]).not.toContain("s3cr3t")
  })

  describe("keys in a file", () => {
    const folder = mkdtempSync(join(tmpdir(), "machine-proxy-"))
    const path = join(folder, "keys.json")
    afterAll(() => rmSync(folder, { recursive: true }))
    const readFile = (more: Record<string, string> = {}) =>
      readConfig({ INGRESS_MACHINE: "m", INGRESS_TICKET_KEYS_FILE: path, ...more }, { insecure: false })

    it("are read like those of the variable", () => {
      writeFileSync(path, keys)
      expect(readFile()).toMatchObject({ config: { keysFile: path, proxy: { keys: [key] } } })
    })

    it("exclude keys in the variable, and --insecure", () => {
      expect(problemsOf(readFile({ INGRESS_TICKET_KEYS: keys }))).toEqual([
        "INGRESS_TICKET_KEYS_FILE: is set together with INGRESS_TICKET_KEYS; expected one of them",
      ])
      expect(
        problemsOf(readConfig({ INGRESS_MACHINE: "m", INGRESS_TICKET_KEYS_FILE: path }, { insecure: true })),
      ).toHaveLength(1)
    })

    it.each([
      ["half written", keys.slice(0, -9), "is not JSON"],
      ["without a key", "[]", "contains no key"],
      ["with a bad key after a good one", JSON.stringify([key, { ...key, k: "s3cr3t" }]), "key 2 of 2"],
      ["far too large", " ".repeat(1_048_577), "is larger than"],
    ])("are refused %s, without showing them", (_, text, problem) => {
      writeFileSync(path, text)
      const problems = problemsOf(readFile())
      expect(problems).toHaveLength(1)
      expect(problems[0]).toContain(`INGRESS_TICKET_KEYS_FILE: ${JSON.stringify(path)} ${problem}`)
      expect(problems[0]).not.toContain("s3cr3t")
    })

    it("are refused when there is no such file, or it is a folder", () => {
      expect(problemsOf(readFile({ INGRESS_TICKET_KEYS_FILE: join(folder, "none") }))[0]).toContain("(ENOENT)")
      expect(problemsOf(readFile({ INGRESS_TICKET_KEYS_FILE: folder }))[0]).toContain("is not a file")
      expect(problemsOf(readFile({ INGRESS_TICKET_KEYS_FILE: "" }))[0]).toContain("(ENOENT)")
    })
  })

  it("runs without keys only if it is insecure, and never accepts both", () => {
    expect(problemsOf(readConfig({ INGRESS_MACHINE: "m" }, { insecure: false }))[0]).toContain("--insecure")
    expect(readConfig({ INGRESS_MACHINE: "m" }, { insecure: true })).toMatchObject({
      config: { proxy: { keys: "insecure" } },
    })
    expect(problemsOf(read({}, true))).toHaveLength(1)
  })

  it("warns of misspelt variables, not of those meant for apps", () => {
    expect(read({ INGRESS_ALOW_PORTS: "1", INGRESS_BASE_URL: "https://a", PATH: "/" }).warnings).toEqual([
      '"INGRESS_ALOW_PORTS" is not a variable of this command and is ignored',
    ])
  })
})
