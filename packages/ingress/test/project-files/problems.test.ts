/** What is refused, and where it says so. */
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { ProjectsInvalid, readProjects } from "../../src/project-files.ts"
import type { Projects } from "../../src/project-files.ts"
import { COMPOSE, folder, problemsOf, rows } from "./folder.ts"

const row = (text: string): ReadonlyMap<string, string> =>
  rows(`ingress:\n  - service: web\n    domain: a.example.com\n    ${text}\n`)
const at = "p/itsup-project.yml:4:5: ingress.0"

describe("a row is refused", () => {
  it.each([
    ["path_remove: true", `${at}.path_remove must be absent: it removes nothing`],
    ["dns: [1.1.1.1]", `${at}.dns must be absent: it has no effect here, write dns into docker-compose.yml`],
    ["allow_source_ips: []", `${at}.allow_source_ips must not be empty when configured`],
    [
      "allow_source_ips: [foo]",
      "p/itsup-project.yml:4:24: ingress.0.allow_source_ips.0 must be a valid IP or CIDR: foo",
    ],
    [
      "allow_source_ips: [10.0.0.0/33]",
      "p/itsup-project.yml:4:24: ingress.0.allow_source_ips.0 must be a valid IP or CIDR: 10.0.0.0/33",
    ],
    [
      "allow_source_ips: [010.0.0.1]",
      "p/itsup-project.yml:4:24: ingress.0.allow_source_ips.0 must be a valid IP or CIDR: 010.0.0.1",
    ],
    ["allow_sourceips: [10.0.0.1]", `${at}.allow_sourceips must be absent: there is no such field`],
    ["port: '80'", `${at}.port must be an integer from 1 to 65535`],
    ["port: 0", `${at}.port must be an integer from 1 to 65535`],
    ["passthrough: yes", `${at}.passthrough must be true or false`],
    ["router: grpc", `${at}.router must be http, tcp, udp`],
    ["proxyprotocol: 3", `${at}.proxyprotocol must be 1, 2 or null`],
    ["tls: {sans: [b.example.com]}", `${at}.tls.main must be present`],
    ["path_prefix: api", `${at}.path_prefix must be a path that begins with /`],
    ["ipv4_address: 172.21.0.5", `${at}.ipv4_address must be in 172.20.0.0/16, the subnet of proxynet`],
    ["ipv4_address: 172.20.0.1", `${at}.ipv4_address must be free: 172.20.0.1 is reserved`],
    ["ipv4_address: 172.20.0.253", `${at}.ipv4_address must be free: 172.20.0.253 is reserved`],
    ["ipv4_address: 172.20.0.256", `${at}.ipv4_address must be an IPv4 address`],
    ["router: udp", "p/itsup-project.yml:3:5: ingress.0.domain must be absent for udp, where only the port is known"],
    ["protocol: udp\n    router: tcp", "p/itsup-project.yml:5:5: ingress.0.router must be udp where protocol is"],
    [
      "router: tcp\n    path_prefix: /api",
      "p/itsup-project.yml:5:5: ingress.0.path_prefix must be absent unless protocol is http",
    ],
    ["<<: {port: 80}", `${at}.<< must be absent: there is no such field`],
    ["__proto__: {port: 80}", `${at}.__proto__ must be absent: there is no such field`],
    ["port: 80\n    port: 81", "p/itsup-project.yml:5:5: must have each key once"],
    ["port: !port 80", "p/itsup-project.yml:4:11: is not YAML: tags have no meaning here"],
    ["port: ${PORT}", `${at}.port must be free of placeholders: \${PORT} is still there, and nothing replaces it`],
  ])("%s", async (text, problem) => {
    const problems = await problemsOf(row(text))
    expect(problems).toEqual([problem])
  })

  it.each([
    [
      "ingress:\n  - {service: nope, domain: a.example.com}\n",
      "p/itsup-project.yml:2:6: ingress.0.service must be one of docker-compose.yml: ingress references unknown service: nope",
    ],
    ["ingress:\n  - {domain: a.example.com}\n", "p/itsup-project.yml:2:5: ingress.0.service must be present"],
    ["ingress:\n  - {service: web}\n", "p/itsup-project.yml:2:5: ingress.0.domain must be a hostname or a pattern"],
    [
      "ingress:\n  - {service: web, router: tcp}\n",
      "p/itsup-project.yml:2:5: ingress.0.hostport must be present without a hostname",
    ],
    [
      "ingress:\n  - {service: web, passthrough: true, hostport: 1}\n",
      "p/itsup-project.yml:2:5: ingress.0.domain must be present with passthrough",
    ],
    [
      "ingress:\n  - {service: web, domain: a_b.example.com}\n",
      "p/itsup-project.yml:2:20: ingress.0.domain must be a hostname",
    ],
    [
      "ingress:\n  - {service: web, domain: 'a.example.com`) || Host(`b'}\n",
      "p/itsup-project.yml:2:20: ingress.0.domain must be a hostname",
    ],
    ["host: h\n", "p/itsup-project.yml:1:1: host must be absent beside docker-compose.yml"],
    ["ingres: []\n", "p/itsup-project.yml:1:1: ingres must be absent: there is no such field"],
    ["- a\n", "p/itsup-project.yml:1:1: the document must be an object"],
    ["ingress: {}\n", "p/itsup-project.yml:1:1: ingress must be an array"],
    ["a: [\n", "p/itsup-project.yml:2:1: is not YAML: bad indent"],
    ["enabled: true\n---\nenabled: true\n", "p/itsup-project.yml: must be one YAML document"],
  ])("%j", async (text, problem) => {
    expect(await problemsOf(rows(text))).toEqual([problem])
  })

  it("3-17: two services with one address, and one service with two", async () => {
    const text = `ingress:
  - {service: web, domain: a.example.com, ipv4_address: 172.20.0.5}
  - {service: web, domain: b.example.com, ipv4_address: 172.20.0.6}
  - {service: db, router: tcp, hostport: 1, ipv4_address: 172.20.0.5}
`
    expect(await problemsOf(rows(text))).toEqual([
      "p/itsup-project.yml:3:43: ingress.1.ipv4_address must be 172.20.0.5, as in another row of the service",
      "p/itsup-project.yml:4:45: ingress.2.ipv4_address must be free: p:web has 172.20.0.5",
    ])
  })

  it("with everything else that is wrong, in every file, in order", async () => {
    const problems = await problemsOf(
      folder({
        "b/itsup-project.yml": "host: h\ningress:\n  - {domain: a.example.com, port: x, hostport: y}\n",
        "a/ingress.json": '{"name": "A", "rules": []}',
        "itsup.yml": "routerIP: 1.2.3\n",
        "c/docker-compose.yml": "services: [a]\n",
        "d/docker-compose.yml": "services:\n  web: {labels: [[a]]}\n",
        "Bad Name/ingress.yml": "",
      }),
    )
    expect(problems).toEqual([
      "Bad Name: the folder's name must be a project's name: 1 to 63 lower-case letters, digits and inner - . _",
      "a/ingress.json:1:2: name must be 1 to 63 lower-case letters, digits and inner hyphens",
      "b/itsup-project.yml:3:29: ingress.0.port must be an integer from 1 to 65535",
      "b/itsup-project.yml:3:38: ingress.0.hostport must be an integer from 1 to 65535",
      "c/docker-compose.yml:1:1: services must be a mapping of services",
      "d/docker-compose.yml:2:9: services.web.labels must be a list or a mapping of texts",
      "itsup.yml:1:1: routerIP must be an IP address",
      "itsup.yml:1:1: traefikDomain must be present",
    ])
  })
})

describe("an Ingress document", () => {
  const rule = "{match: {hostname: a.example.com}, target: {url: 'http://10.0.0.1:80'}}"

  it("is one of several, in YAML or JSON", async () => {
    const { ingresses } = await readProjects(
      folder({
        "a/ingress.yaml": `name: one\nrules: [${rule}]\n---\nname: two\nrules:\n  - match: {hostname: b.example.com}\n    target: {url: http://10.0.0.1:80}\n`,
        "b/ingress.json": JSON.stringify(
          [{ name: "three", rules: [{ match: { hostname: "c.example.com" }, target: { url: "http://[::1]:80" } }] }],
          undefined,
          "\t",
        ),
      }),
    )
    expect(ingresses.map(({ name }) => name)).toEqual(["one", "three", "two"])
    expect(new Set(ingresses.map(({ id }) => id)).size).toBe(3)
  })

  it.each([
    [
      `name: one\nrules:\n  - match: {hostname: a.example.com}\n    target: {machine: mach_1, port: 80}\n`,
      "a/ingress.yaml:4:5: rules.0.target must be a url: files do not say where machines and projects are",
    ],
    [
      `name: one\nrules:\n  - match: {hostname: a.example.com}\n    target: {url: 'http://x:80/path'}\n`,
      "a/ingress.yaml:4:14: rules.0.target.url must be http://host:port, https:// or h2c://, without a path and credentials",
    ],
    [
      `name: one\nrules:\n  - ${rule}\n  - ${rule}\n`,
      "a/ingress.yaml:4:6: rules.1.match must be free: a.example.com on port 80 is in use by one",
    ],
    [
      `name: one\nrules:\n  - ${rule.replace("a.example.com", "'${HOST}'")}\n`,
      "a/ingress.yaml:3:14: rules.0.match.hostname must be free of placeholders: ${HOST} is still there, and nothing replaces it",
    ],
    ["name: one\nrules: []\n", "a/ingress.yaml:2:1: rules must be an array of at least one rule"],
    ["enabled: true\ningress: []\n", "a/ingress.yaml:1:1: enabled must be absent: there is no such field"],
  ])("%j is refused where it is wrong", async (text, problem) => {
    expect(await problemsOf(folder({ "a/ingress.yaml": text }))).toContain(problem)
  })

  it("never shows a secret in what it says", async () => {
    const text = `name: one\nrules:\n  - match: {hostname: a.example.com}\n    target: {url: 'http://user:hunter2@x'}\n    requireHeader: {name: x-key, value: "hunter2 \${KEY:-hunter2}"}\n    tls: hunter2\n`
    const problems = await problemsOf(folder({ "a/ingress.yaml": text }))
    expect(problems.length).toBeGreaterThan(1)
    expect(problems.join("\n")).not.toContain("hunter2")
    expect(problems.join("\n")).toContain("rules.0.requireHeader.value must be free of placeholders: ${KEY}")
  })
})

describe("YAML from anybody", () => {
  it("stands for no more than it has", async () => {
    const levels = Array.from(
      { length: 12 },
      (_, at) => `a${at}: &a${at} [${Array.from({ length: 9 }, () => `*a${at - 1}`).join(",")}]`,
    )
    const bomb = ["a0: &a0 x", ...levels.slice(1)].join("\n")
    expect(await problemsOf(folder({ "a/itsup-project.yml": bomb }))).toEqual([
      "a/itsup-project.yml:1:1: must use aliases that exist, and expand at most 100",
    ])
    expect(await problemsOf(folder({ "a/docker-compose.yml": `services: {}\n${bomb}` }))).toHaveLength(1)
    expect((await problemsOf(folder({ "a/itsup-project.yml": "[".repeat(200_000) })))[0]).toContain("is not YAML")
    expect(await problemsOf(folder({ "a/itsup-project.yml": " ".repeat(300_000) }))).toEqual([
      "a/itsup-project.yml: must be of at most 262144 bytes",
    ])
  })

  it("is read the same with a byte order mark and with CRLF, and places are right", async () => {
    const text = "\uFEFFingress:\r\n  - service: web\r\n    domain: a.example.com\r\n    port: x\r\n"
    expect(await problemsOf(rows(text))).toEqual([`${at}.port must be an integer from 1 to 65535`])
    expect(await problemsOf(rows("\uFEFFenabld: true\r\n"))).toEqual([
      "p/itsup-project.yml:1:1: enabld must be absent: there is no such field",
    ])
  })

  it("may use anchors, and merge keys in compose files", async () => {
    const compose = "x-base: &base\n  image: nginx\nservices:\n  web:\n    <<: *base\n    environment: {A: '${B:?}'}\n"
    const text =
      "ingress:\n  - &row {service: web, domain: a.example.com}\n  - {service: web, domain: b.example.com, tls: &tls {main: c.example.com}}\n"
    expect(await problemsOf(rows(text, compose))).toEqual([])
  })

  it("has each key once", async () => {
    expect(await problemsOf(rows("enabled: true\nenabled: false\n"))).toEqual([
      "p/itsup-project.yml:2:1: must have each key once",
    ])
    expect(await problemsOf(rows("", `${COMPOSE}  web:\n    image: x\n`))).toEqual([
      "p/docker-compose.yml:6:3: must have each key once",
    ])
  })

  it("ends in projects or in problems that have a place, whatever it is", async () => {
    const word = fc.constantFrom(
      "ingress",
      "service",
      "web",
      "domain",
      "a.example.com",
      "port",
      "80",
      "tls",
      "main",
      "${X}",
      "__proto__",
      "null",
      "[",
      "{",
      "}",
      "]",
      ":",
      ": ",
      "- ",
      "\n",
      "\n  ",
      "&a",
      "*a",
      "<<",
      "!!x",
      "'",
      '"',
      "|",
      ">",
      "#",
      "---\n",
      "\t",
      "\uFEFF",
      "\r\n",
      "%YAML 1.1\n",
      "constructor",
      "1e999",
      ".nan",
    )
    const text = fc.array(word, { maxLength: 30 }).map((words) => words.join(""))
    await fc.assert(
      fc.asyncProperty(
        text,
        fc.constantFrom(
          "p/itsup-project.yml",
          "p/ingress.yaml",
          "p/ingress.json",
          "p/docker-compose.yml",
          "itsup.yml",
          "traefik.yml",
        ),
        async (text, file) => {
          const files = new Map([...rows("ingress:\n  - {service: web, domain: a.example.com}\n"), [file, text]])
          const outcome = await readProjects(files).catch((cause: unknown) => cause)
          const isInvalid = outcome instanceof ProjectsInvalid
          const problems = isInvalid ? outcome.problems : []
          expect(problems.length > 0).toBe(isInvalid)
          expect(problems.filter(({ file, message }) => file === "" || message === "")).toEqual([])
          // Anything but projects would be an error of this package.
          const { ingresses } = isInvalid ? { ingresses: [] } : (outcome as Projects)
          expect(JSON.stringify(ingresses)).not.toContain("${")
        },
      ),
      { interruptAfterTimeLimit: 3_000, numRuns: 1_000 },
    )
    expect(({} as Record<string, unknown>)["port"]).toBeUndefined()
  })
})
