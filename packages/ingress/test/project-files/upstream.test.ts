import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { parse } from "yaml"
import { readProjects } from "../../src/project-files.ts"
import { generateFiles } from "../../src/project-files/generate-files.ts"
import { zoneRecords } from "../../src/project-files/zone-records.ts"
import { folder, rows } from "./folder.ts"
import { jsonFront } from "./json-front.ts"

const generate = async (files: ReadonlyMap<string, string>) =>
  generateFiles(await readProjects(files), jsonFront, { folder: "/out", variables: {} })
const upstream = async (text: string, compose: string) => {
  const { files } = await generate(rows(text, compose))
  const file = files.find(({ path }) => path === "upstream/p/docker-compose.yml")
  return {
    text: file!.text,
    services: (parse(file!.text, { merge: true }) as { services: Record<string, Record<string, unknown>> }).services,
  }
}
const web = "ingress:\n  - {service: web, domain: a.example.com}\n"

describe("a project's compose file", () => {
  it("gets labels and a network, and keeps comments, placeholders and everything else", async () => {
    const compose = `# mine
services:
  web:
    # the app
    image: nginx:\${TAG:?}
    labels:
      - own=1
    volumes:
      - ./data:/data
  db:
    image: postgres
`
    const { text } = await upstream(web, compose)
    expect(text).toBe(`# mine
services:
  web:
    # the app
    image: nginx:\${TAG:?}
    labels:
      - own=1
      - json.enable=true
      - json.p.web=a.example.com
    volumes:
      - ./data:/data
    networks:
      default: null
      proxynet:
        aliases:
          - p--web
  db:
    image: postgres
networks:
  proxynet:
    external: true
`)
  })

  it("3-07: has its labels as a list, also where they were a mapping", async () => {
    const { services } = await upstream(web, "services:\n  web: {labels: {a: 1, b: true, c: null, d: x=y}}\n")
    expect(services["web"]?.["labels"]).toEqual([
      "a=1",
      "b=true",
      "c=",
      "d=x=y",
      "json.enable=true",
      "json.p.web=a.example.com",
    ])
  })

  it("3-05: gets no labels of routers for TCP, UDP and passthrough, whose rules are in files", async () => {
    const text = `ingress:
  - {service: web, router: tcp, hostport: 1}
  - {service: web, passthrough: true, domain: a.example.com}
  - {service: web, router: udp, hostport: 2}
  - {service: web, domain: b.example.com, hostport: 9000}
`
    const { files } = await generate(rows(text))
    const { services } = parse(files.find(({ path }) => path.startsWith("upstream/"))!.text) as {
      services: Record<string, { labels: unknown }>
    }
    expect(services["web"]?.labels).toEqual(["json.enable=true"])
    expect(JSON.parse(files.find(({ path }) => path === "dynamic/p.json")!.text)).toHaveLength(4)
  })

  it("3-01: stays byte for byte where the project is disabled, or has no rows", async () => {
    const compose = "services:\r\n    web:   {image: 'x'}\r\n"
    for (const text of [`enabled: false\n${web}`, "", "egress: []\n"])
      expect((await upstream(text, compose)).text).toBe(compose)
  })

  it("keeps its networks, and the address that a row pins", async () => {
    const compose =
      "services:\n  web: {networks: [back, proxynet]}\nnetworks: {back: {}, proxynet: {external: true, name: other}}\n"
    const { services, text } = await upstream(
      "ingress:\n  - {service: web, domain: a.example.com, ipv4_address: 172.20.0.9}\n",
      compose,
    )
    expect(services["web"]?.["networks"]).toEqual({ back: null, proxynet: { ipv4_address: "172.20.0.9" } })
    expect(text).toContain("name: other")
  })

  it("changes no other service, whatever they share", async () => {
    const compose = `x-base: &base {image: nginx, labels: [own=1]}
services:
  web: &web {<<: *base, networks: {default: {aliases: [w]}}}
  worker: {<<: *web}
  twin: *web
  plain: {<<: *base}
  bare: &bare {image: x}
  bare2: {<<: *bare}
`
    const before = (parse(compose, { merge: true }) as { services: Record<string, unknown> }).services
    const { services } = await upstream(
      "ingress:\n  - {service: web, domain: a.example.com}\n  - {service: bare, domain: b.example.com}\n",
      compose,
    )
    for (const name of ["worker", "twin", "plain"]) expect(services[name]).toEqual(before[name])
    expect(services["bare2"]).toEqual({ image: "x", labels: [], networks: { default: null } })
    expect(services["web"]).toMatchObject({
      image: "nginx",
      labels: ["own=1", "json.enable=true", "json.p.web=a.example.com"],
    })
  })

  it("changes nothing but labels and networks, whatever is in it", async () => {
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { depthSize: "small" },
        fc.string({ maxLength: 6 }),
        fc.constantFrom(null, true, 0, "${X}", "#", "a: b", "<<"),
        fc.array(tie("any"), { maxLength: 3 }),
        fc.dictionary(fc.stringMatching(/^[a-z]{1,5}$/), tie("any"), { maxKeys: 3 }),
      ),
    })).any
    const service = fc.dictionary(fc.constantFrom("image", "environment", "volumes", "command"), value)
    await fc.assert(
      fc.asyncProperty(service, service, async (one, two) => {
        const before = { services: { web: one, db: two } }
        const { services } = await upstream(web, JSON.stringify(before))
        const { labels: _, networks: __, ...rest } = services["web"]!
        expect({ web: rest, db: services["db"] }).toEqual(parse(JSON.stringify(before.services)))
      }),
      { interruptAfterTimeLimit: 2_000 },
    )
  })
})

describe("what a front cannot do", () => {
  it("is said at the place where it was written", async () => {
    const text = `ingress:
  - {service: web, domain: a.example.com}
  - {service: web, router: tcp, hostport: 1, proxyprotocol: 1}
  - {service: web, router: udp, hostport: 2}
  - {service: web, domain: b.example.com, allow_source_ips: [10.66.0.0/16]}
`
    const { problems, warnings } = await generate(rows(text))
    expect(problems.map(({ file, line, message }) => [file, line, message])).toEqual([
      ["p/itsup-project.yml", 3, "ingress.1: proxyProtocol has no equivalent in JSON"],
      ["p/itsup-project.yml", 5, "ingress.3: allowCidrs is everybody"],
    ])
    expect(warnings).toEqual(["p/itsup-project.yml:4:5: ingress.2: match.protocol is left out"])
  })

  it("includes a label that the project has set otherwise", async () => {
    const { problems } = await generate(rows(web, "services:\n  web: {labels: [json.enable=false]}\n"))
    expect(problems.map(({ message }) => message)).toEqual([
      "services.web.labels must be free of json.enable, which is generated with another value",
    ])
  })
})

it("equal projects give equal files, in whatever order they were read", async () => {
  const files = {
    "b/itsup-project.yml": "host: h\ningress:\n  - {domain: b.example.com, hostport: 1}\n",
    ...Object.fromEntries(rows(web)),
  }
  const reversed = Object.fromEntries(Object.entries(files).toReversed())
  expect(await generate(folder(files))).toEqual(await generate(folder(reversed)))
})

describe("the records of a zone", () => {
  it("lead each hostname to the front, once, and wildcards where DNS has them", async () => {
    const { ingresses } = await readProjects(
      folder({
        "a/itsup-project.yml":
          "host: h\ningress:\n  - {domain: b.example.com}\n  - {domain: b.example.com, path_prefix: /x}\n  - {domain: '*.example.com'}\n  - {router: tcp, hostport: 1}\n",
        "b/ingress.yaml":
          "name: deep\nrules:\n  - match: {hostname: 'a.{x}.example.com'}\n    target: {url: http://h:1}\n",
      }),
    )
    const { files, problems } = zoneRecords({ ingresses }, "192.168.1.2")
    expect(files).toEqual([
      {
        path: "ingress.records",
        text: "; generated: $INCLUDE this file in the zone\n*.example.com. 300 IN A 192.168.1.2\nb.example.com. 300 IN A 192.168.1.2\n",
      },
    ])
    expect(problems).toEqual([
      {
        kind: "unsupported",
        ingress: "deep",
        field: "rules.0.match.hostname",
        reason: "has a label that DNS has no wildcard for",
      },
    ])
    expect(zoneRecords({ ingresses }, "fd00::1").files[0]?.text).toContain("IN AAAA fd00::1")
  })
})
