/** What rows of itsUP become, by the ids of the cases in its documents. */
import { describe, expect, it } from "vitest"
import { readProjects } from "../../src/project-files.ts"
import { folder, problemsOf, rows } from "./folder.ts"

const only = async (text: string) => {
  const { ingresses } = await readProjects(rows(text))
  return ingresses.flatMap((ingress) => ingress.rules)
}

describe("a row becomes a rule", () => {
  it("3-02, 3-09: HTTP, with TLS and a redirect", async () => {
    expect(await only("ingress:\n  - {service: web, domain: H.example.com, port: 80}\n")).toEqual([
      {
        match: { protocol: "http", hostname: { text: "h.example.com", wildcard: "h.example.com", captures: [] } },
        targets: [{ kind: "url", weight: 1, host: "p--web", port: 80, protocol: "http" }],
        tls: true,
        redirectHttp: true,
      },
    ])
  })

  it("3-03: with a path; and with the port 8080 where none is given", async () => {
    const [rule] = await only("ingress:\n  - {service: web, domain: h.example.com, path_prefix: /api}\n")
    expect([rule?.match.path, rule?.targets[0]]).toEqual([{ prefix: "/api" }, expect.objectContaining({ port: 8080 })])
  })

  it("3-04: a main name and others, each once", async () => {
    const all = await only(
      "ingress:\n  - service: web\n    domain: a.example.com\n    tls: {main: a.example.com, sans: [b.example.com, B.example.com]}\n",
    )
    expect(all.map(({ match }) => match.hostname?.text)).toEqual(["a.example.com", "b.example.com"])
  })

  it("3-14, 3-15: TCP by name, by port, and passed through", async () => {
    const all = await only(`ingress:
  - {service: db, router: tcp, domain: d.example.com, port: 5432}
  - {service: db, router: tcp, hostport: 5432, port: 5432}
  - {service: web, passthrough: true, domain: m.example.com, hostport: 8883, port: 8883}
  - {service: web, passthrough: true, domain: n.example.com, port: 443}
`)
    expect(
      all.map(({ match, tls, passthrough }) => [match.protocol, match.hostname?.text, match.port, tls, passthrough]),
    ).toEqual([
      ["tcp", "d.example.com", 443, true, undefined],
      ["tcp", undefined, 5432, undefined, undefined],
      ["tcp", "m.example.com", 8883, undefined, true],
      ["tcp", "n.example.com", 443, undefined, true],
    ])
  })

  it("UDP, whichever of the two fields says so", async () => {
    for (const said of ["protocol: udp", "router: udp", "router: udp, protocol: udp"]) {
      const [rule] = await only(`ingress:\n  - {service: db, ${said}, hostport: 1194, port: 1194}\n`)
      expect(rule).toEqual({
        match: { protocol: "udp", port: 1194 },
        targets: [{ kind: "url", weight: 1, host: "p--db", port: 1194, protocol: "udp" }],
      })
    }
  })

  it("3-28: HTTP on a port of its own, without a redirect from port 80", async () => {
    const [rule] = await only("ingress:\n  - {service: web, domain: h.example.com, hostport: 9000}\n")
    expect([rule?.match.port, rule?.tls, rule?.redirectHttp]).toEqual([9000, true, undefined])
  })

  it("3-16: the PROXY protocol only where the row says so", async () => {
    const all = await only(`ingress:
  - {service: db, router: tcp, hostport: 1}
  - {service: db, router: tcp, hostport: 2, proxyprotocol: 2}
  - {service: db, router: tcp, hostport: 3, proxyprotocol: null}
`)
    expect(all.map(({ proxyProtocol }) => proxyProtocol)).toEqual([undefined, 2, undefined])
  })

  it("3-12: sources on that row only, addresses as networks", async () => {
    const all = await only(`ingress:
  - {service: web, domain: a.example.com, allow_source_ips: [10.0.0.5, 10.0.0.0/8, "::1"]}
  - {service: web, domain: b.example.com}
`)
    expect(all.map(({ allowCidrs }) => allowCidrs)).toEqual([["10.0.0.5/32", "10.0.0.0/8", "::1/128"], undefined])
  })

  it("3-10: an external host", async () => {
    const { ingresses, projects } = await readProjects(
      folder({ "nas/ingress.yml": "host: 192.168.1.10\ningress:\n  - {domain: nas.example.com, port: 5000}\n" }),
    )
    expect(ingresses[0]?.rules[0]?.targets).toEqual([
      { kind: "url", weight: 1, host: "192.168.1.10", port: 5000, protocol: "http" },
    ])
    expect(projects).toEqual([{ name: "nas", ingress: "nas", enabled: true, egress: [] }])
  })

  it("3-17: a pinned address", async () => {
    const text =
      "ingress:\n  - {service: web, domain: a.example.com, ipv4_address: 172.20.0.5}\n  - {service: web, domain: b.example.com}\n"
    expect((await only(text)).map(({ targets }) => targets[0])).toEqual(
      Array.from({ length: 2 }, () => expect.objectContaining({ host: "172.20.0.5" })),
    )
  })

  it("3-01: nothing where the project is disabled, whose rows are checked all the same", async () => {
    const { ingresses, projects } = await readProjects(
      rows("enabled: false\ningress:\n  - {service: web, domain: a.example.com}\n"),
    )
    expect([ingresses, projects[0]?.enabled, projects[0]?.compose?.services]).toEqual([[], false, []])
    expect(
      await problemsOf(rows("enabled: false\ningress:\n  - {service: wbe, domain: a.example.com}\n")),
    ).toHaveLength(1)
  })
})

describe("names cannot collide", () => {
  it("as aliases of services in the shared network", async () => {
    const compose = "services:\n  web: {}\n  b--web: {}\n  Web: {}\n"
    const { projects } = await readProjects(
      folder({
        "a/docker-compose.yml": compose,
        "a/itsup-project.yml":
          "ingress:\n  - {service: web, domain: a.example.com}\n  - {service: b--web, domain: b.example.com}\n  - {service: Web, domain: c.example.com}\n",
        "a--b/docker-compose.yml": compose,
        "a--b/itsup-project.yml": "ingress:\n  - {service: web, domain: d.example.com}\n",
      }),
    )
    const hosts = projects.flatMap(({ compose }) => compose?.services.map(({ host }) => host) ?? [])
    expect(new Set(hosts).size).toBe(4)
    expect(hosts.filter((host) => !/^[a-z\d-]{1,63}$/.test(host))).toEqual([])
  })

  it("as names of ingresses, and the same requests are refused across projects", async () => {
    expect(
      await problemsOf(
        folder({
          "a.b/itsup-project.yml": "host: h\ningress:\n  - {domain: x.example.com}\n",
          "a-b/itsup-project.yml": "host: h\ningress:\n  - {domain: X.example.com}\n",
        }),
      ),
    ).toEqual([
      "a.b: the folder's name must differ from a-b in letters or digits",
      "a.b/itsup-project.yml:3:5: ingress.0 must be free: x.example.com on port 443 is in use by a-b",
    ])
  })
})

describe("3-24 to 3-26: egress", () => {
  const project = (egress = "[]", compose = "services:\n  api: {}\n") => ({ compose, own: `egress: ${egress}\n` })
  const world = (projects: Readonly<Record<string, ReturnType<typeof project>>>) =>
    folder(
      Object.fromEntries(
        Object.entries(projects).flatMap(([name, { compose, own }]) => [
          [`${name}/docker-compose.yml`, compose],
          [`${name}/itsup-project.yml`, own],
        ]),
      ),
    )
  const order = async (projects: Readonly<Record<string, ReturnType<typeof project>>>) =>
    (await readProjects(world(projects))).projects.map(({ name }) => name)

  it("3-25: orders projects: none, alphabetical, a chain, a diamond, a circle", async () => {
    expect((await readProjects(new Map())).projects).toEqual([])
    expect(await order({ c: project(), a: project(), b: project() })).toEqual(["a", "b", "c"])
    expect(await order({ a: project("['b:api']"), b: project("['c:api']"), c: project() })).toEqual(["c", "b", "a"])
    const diamond = { a: project("['b:api', 'c:api']"), b: project("['d:api']"), c: project("['d:api']"), d: project() }
    expect(await order(diamond)).toEqual(["d", "b", "c", "a"])
    const circle = { b: project("['a:api']"), a: project("['b:api']"), c: project() }
    expect(await order(circle)).toEqual(["a", "b", "c"])
    expect((await readProjects(world(circle))).warnings).toEqual([
      "egress goes in a circle: projects are in alphabetical order",
    ])
  })

  it("names a network for each pair, of at most 64 characters", async () => {
    const long = "x".repeat(60)
    const { projects } = await readProjects(
      world({ a: project(`['${long}:api', 'b:api']`), b: project(), [long]: project() }),
    )
    const [far, near] = projects.find(({ name }) => name === "a")!.egress
    expect(near?.network).toBe("a--b--api")
    expect(far?.network).toMatch(/^egress-[\da-f]{12}$/)
  })

  it("refuses what is not there", async () => {
    expect(await problemsOf(world({ a: project("[b, 'b:api', 'a:web', 'a:b:c']") }))).toEqual([
      "a/itsup-project.yml:1:10: egress.0 must be project:service",
      "a/itsup-project.yml:1:13: egress.1 references unknown project: b",
      "a/itsup-project.yml:1:22: egress.2 references unknown service: web",
      "a/itsup-project.yml:1:31: egress.3 must be project:service",
    ])
  })
})
