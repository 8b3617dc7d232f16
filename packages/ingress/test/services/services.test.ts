import { defineGrammar, format } from "@project-ingress/hostname"
import { createRouter } from "@project-ingress/router"
import { memoryRegistry } from "@project-ingress/router/stores/memory"
import * as fc from "fast-check"
import { beforeEach, describe, expect, it, onTestFinished } from "vitest"
import { local } from "../../../providers/src/adapters/local.ts"
import { keys } from "../../../router/test/fakes.ts"
import { startMachine } from "../../../router/test/machine.ts"
import {
  applyServices,
  ConfigInvalid,
  decodeConfig,
  defineConfig,
  formatServicePlan,
  servicePlan,
} from "../../src/services.ts"

const grammar = defineGrammar({ domains: ["iterate.app"], separator: "--" })
const opencode = defineConfig({ services: { opencode: { port: 4096, visibility: "public" } } })

const problemsOf = (value: unknown, options = {}) => {
  try {
    decodeConfig(value, options)
  } catch (cause) {
    if (cause instanceof ConfigInvalid) return cause.problems.map(({ field, accepted }) => `${field}: ${accepted}`)
    throw cause
  }
  return []
}

describe("a configuration", () => {
  it("is taken as data, sorted, without what the customer's objects inherit", () => {
    const given = Object.assign(Object.create({ evil: true }) as object, {
      services: { web: { port: 1 }, api: { port: 65_535 } },
    })
    expect(JSON.stringify(decodeConfig(given))).toBe('{"services":{"api":{"port":65535},"web":{"port":1}}}')
    expect(decodeConfig({ services: {} })).toEqual({ services: {} })
  })

  it.each<[unknown, string]>([
    [undefined, ": "],
    ["{}", ": "],
    [{}, "services: present"],
    [{ services: [] }, "services"],
    [{ services: { a: { port: 1 } }, domains: [] }, "domains: absent: there is no such field"],
    [{ services: { a: { port: 1, visibilty: "public" } } }, "services.a.visibilty: absent: there is no such field"],
    [{ services: { a: { port: 1, visibility: "Public" } } }, "services.a.visibility: public or private"],
    [{ services: { a: {} } }, "services.a.port: present"],
    [{ services: { a: { port: "80" } } }, "services.a.port: an integer from 1 to 65535"],
    [{ services: { a: { port: 0 } } }, "services.a.port: an integer from 1 to 65535"],
    [{ services: { a: { port: 65_536 } } }, "services.a.port: an integer from 1 to 65535"],
    [{ services: { a: { port: 1.5 } } }, "services.a.port: an integer from 1 to 65535"],
    [{ services: { 4096: { port: 1 } } }, "services.4096: under a name"],
    [{ services: { xn: { port: 1 } } }, "services.xn: under a name"],
    [{ services: { "a--b": { port: 1 } } }, "services.a--b: under a name"],
    [{ services: { A: { port: 1 } } }, "services.A: under a name"],
    [JSON.parse('{"services":{"__proto__":{"port":1}}}'), "services.__proto__: under a name"],
    [{ services: { a: { port: 1, visibility: "public" }, b: { port: 1 } } }, "services.b.visibility: as of services.a"],
    [
      { services: Object.fromEntries(Array.from({ length: 101 }, (_, at) => [`s${at}`, { port: 1 }])) },
      "services: at most 100",
    ],
  ])("%j is refused: %s", (value, problem) => {
    expect(problemsOf(value)[0]).toContain(problem)
  })

  it("has every problem named at once", () => {
    expect(problemsOf({ services: { a: { port: 0 }, b: { port: 1, x: 1 } }, y: 1 })).toHaveLength(3)
  })

  it("may not use the platform's names, and may have two names for a port", () => {
    expect(problemsOf({ services: { ssh: { port: 22 } } }, { reserved: ["ssh"] })).toEqual([
      "services.ssh: under another name: the platform keeps this one",
    ])
    expect(problemsOf({ services: { a: { port: 1 }, b: { port: 1 } } })).toEqual([])
    expect(() => decodeConfig({ services: {} }, { reserve: [] } as object)).toThrow("did you mean reserved?")
  })

  it("accepts the names that a hostname can have, and no others", () => {
    const name = fc.oneof(
      fc.string({ maxLength: 8 }),
      fc.stringMatching(/^[a-z0-9-]{1,64}$/),
      fc.constantFrom("xn", "__proto__", "constructor"),
    )
    fc.assert(
      fc.property(name, (service) => {
        const hostname = format(
          { ...grammar, separator: "." },
          { kind: "project", slug: "m", service, domain: "iterate.app" },
        )
        const value: unknown = JSON.parse(`{"services":{${JSON.stringify(service)}:{"port":1}}}`)
        expect(problemsOf(value).length === 0).toBe(typeof hostname === "string")
      }),
      { interruptAfterTimeLimit: 2_000 },
    )
  })
})

describe("applying", () => {
  let registry: ReturnType<typeof memoryRegistry>
  beforeEach(async () => {
    registry = memoryRegistry({ grammar })
    await registry.create({
      name: "misha",
      metadata: { team: "a" },
      services: { db: 5432 },
      ports: { 9000: { visibility: "private", wake: "any" } },
    })
  })

  it("sets services and ports once, and a second time nothing", async () => {
    const first = await applyServices(registry, "misha", opencode)
    expect(first.diff).toBe("+ opencode 4096 public")
    expect(first.project).toMatchObject({
      services: { db: 5432, opencode: 4096 },
      ports: { 4096: { visibility: "public" }, 9000: { visibility: "private", wake: "any" } },
      metadata: { team: "a" },
    })
    const second = await applyServices(registry, "misha", opencode)
    expect([second.diff, second.project.version]).toEqual(["", first.project.version])
  })

  it("clears what was declared before, and nothing that others have set", async () => {
    const two = {
      services: {
        web: { port: 3000, visibility: "private" },
        db: { port: 5432 },
        admin: { port: 9000, visibility: "private" },
      },
    } as const
    await applyServices(registry, "misha", two)
    await registry.configure("misha", {
      ports: { 3000: { visibility: "private", embed: ["https://www.example.com"] } },
    })
    const { project, diff } = await applyServices(registry, "misha", { services: {} })
    expect(diff).toBe("- admin 9000\n- web 3000 private")
    expect(project).toMatchObject({ services: { db: 5432 }, metadata: { team: "a" } })
    expect(project.services).toEqual({ db: 5432 })
    expect(project.ports).toEqual({
      3000: { embed: ["https://www.example.com"] },
      9000: { visibility: "private", wake: "any" },
    })
    expect(project.metadata).toEqual({ team: "a" })
  })

  it("moves a service to another port, and takes the settings of the old one along", async () => {
    await applyServices(registry, "misha", opencode)
    const { project, diff } = await applyServices(registry, "misha", {
      services: { opencode: { port: 4097, visibility: "public" } },
    })
    expect(diff).toBe("- opencode 4096 public\n+ opencode 4097 public")
    expect([project.services, project.ports]).toEqual([
      { db: 5432, opencode: 4097 },
      { 4097: { visibility: "public" }, 9000: { visibility: "private", wake: "any" } },
    ])
  })

  it.each([
    [{ services: { db: { port: 5433 } } }, "services.db"],
    [{ services: { admin: { port: 9000, visibility: "public" } } }, "ports.9000.visibility"],
  ] as const)("refuses what the platform has set otherwise: %j", async (config, field) => {
    await expect(applyServices(registry, "misha", config)).rejects.toMatchObject({ _tag: "ServiceConflict", field })
    expect((await registry.read("misha")).services).toEqual({ db: 5432 })
  })

  it("leaves a name alone that somebody else has changed since", async () => {
    await applyServices(registry, "misha", opencode)
    await registry.configure("misha", { services: { opencode: 1 } })
    const { project } = await applyServices(registry, "misha", { services: {} })
    expect(project.services).toEqual({ db: 5432, opencode: 1 })
  })

  it("only says what it would do in a dry run", async () => {
    const { version } = await registry.read("misha")
    expect(await applyServices(registry, "misha", opencode, { dryRun: true })).toMatchObject({
      diff: "+ opencode 4096 public",
      project: { version },
    })
    expect((await registry.read("misha")).version).toBe(version)
  })

  it("expects a version, also where nothing changes, and otherwise takes changes in between into account", async () => {
    const wrong = { _tag: "VersionConflict" }
    await expect(applyServices(registry, "misha", opencode, { ifVersion: 99 })).rejects.toMatchObject(wrong)
    await expect(applyServices(registry, "misha", { services: {} }, { ifVersion: 99 })).rejects.toMatchObject(wrong)
    let isFirst = true
    const raced = {
      configure: registry.configure.bind(registry),
      read: async (reference: string) => {
        const project = await registry.read(reference)
        if (isFirst) await registry.configure("misha", { services: { other: 7 } })
        isFirst = false
        return project
      },
    }
    expect((await applyServices(raced, "misha", opencode)).project.services).toEqual({
      db: 5432,
      other: 7,
      opencode: 4096,
    })
  })

  it("changes no project by the beginning of its name, and refuses what nobody checked", async () => {
    await expect(applyServices(registry, "mish", opencode)).rejects.toMatchObject({ _tag: "NotFound" })
    await expect(applyServices(registry, "misha", { services: { a: { port: 0 } } })).rejects.toMatchObject({
      _tag: "ConfigInvalid",
    })
    await expect(applyServices(registry, "misha", opencode, { dryrun: true } as object)).rejects.toThrow(
      "did you mean dryRun?",
    )
  })

  it("reads metadata that is anything", async () => {
    for (const declaredServices of [
      null,
      5,
      "x",
      [],
      { services: 5 },
      { services: { a: "b" }, visibility: { 1: "x" } },
    ]) {
      await registry.configure("misha", { metadata: { declaredServices } })
      expect((await applyServices(registry, "misha", opencode)).project.services).toMatchObject({ opencode: 4096 })
    }
  })
})

describe("a declared service", () => {
  it("is reached under both of its names through a router, and no more once it is gone", async () => {
    const machine = await startMachine()
    onTestFinished(machine.close)
    const registry = memoryRegistry({ grammar })
    await registry.putMachine({ id: "mach_1", type: "local", externalId: "a", metadata: { port: machine.port } })
    await registry.create({ name: "misha", machine: "mach_1" })
    const router = createRouter({
      grammar,
      store: registry,
      // Carries out nothing: the ports are everybody's here.
      policies: [{ name: "open", enforces: ["visibility"], onRoute: () => undefined }],
      providers: [local()],
      signingKey: keys.signing,
      // The server below has no key.
      unprovenMachines: true,
    })
    onTestFinished(() => router.dispose())
    const ask = async (host: string) => {
      const response = await router.fetch(new Request(`https://${host}/`))
      await response?.body?.cancel()
      return [response?.status, machine.requests.at(-1)?.headers["x-iterate-proxy-target-host"]]
    }
    await applyServices(registry, "misha", opencode)
    for (const name of ["opencode.misha.iterate.app", "opencode--misha.iterate.app"]) {
      expect(await ask(name)).toEqual([200, expect.stringMatching(/^4096__/)])
    }
    await applyServices(registry, "misha", { services: {} })
    expect((await ask("opencode.misha.iterate.app"))[0]).toBe(404)
  })
})

describe("a plan", () => {
  const two = defineConfig({ services: { opencode: { port: 4096, visibility: "public" }, web: { port: 3000 } } })

  it("has the hostnames, certificates and sites of each service", () => {
    const { services, certificates } = servicePlan(grammar, "misha", two, { publicSuffix: true })
    expect(services[0]).toEqual({
      name: "opencode",
      port: 4096,
      visibility: "public",
      hostnames: [
        {
          hostname: "opencode--misha.iterate.app",
          shape: "flat",
          certificate: "*.iterate.app",
          site: "opencode--misha.iterate.app",
        },
        {
          hostname: "opencode.misha.iterate.app",
          shape: "nested",
          certificate: "*.misha.iterate.app",
          site: "misha.iterate.app",
        },
      ],
    })
    expect(certificates).toEqual(["*.iterate.app", "*.misha.iterate.app"])
  })

  // docs/sites.md, made in a browser: `Lax` cookies between ports; a cookie with `Domain` for both; other tenants.
  it.each([
    [false, "flat", true, undefined, false],
    [true, "flat", false, undefined, true],
    [false, "nested", true, "misha.iterate.app", false],
    [true, "nested", true, "misha.iterate.app", true],
  ] as const)(
    "on the list: %j, %s: sessions %j, cookies of %j, apart %j",
    (publicSuffix, shape, sharesSessions, cookieDomain, isApart) => {
      const { shapes } = servicePlan(grammar, "misha", two, { publicSuffix })
      expect(shapes.find((each) => each.shape === shape)).toEqual({ shape, sharesSessions, cookieDomain, isApart })
    },
  )

  it("is the same whatever the grammar's separator is, for every domain", () => {
    const other = defineGrammar({ domains: ["iterate.app", "example.org"], separator: "." })
    const { services } = servicePlan(other, "misha", opencode, { publicSuffix: false })
    expect(services[0]?.hostnames.map(({ hostname, site }) => `${hostname} ${site}`)).toEqual([
      "opencode--misha.iterate.app iterate.app",
      "opencode.misha.iterate.app iterate.app",
      "opencode--misha.example.org example.org",
      "opencode.misha.example.org example.org",
    ])
  })

  it("refuses a service that is too long beside the project", () => {
    const long = { services: { ["a".repeat(60)]: { port: 1 } } }
    expect(() => servicePlan(grammar, "misha", long, { publicSuffix: true })).toThrow(
      "The service is too long: 67 characters, at most 63.",
    )
    expect(() => servicePlan(grammar, "misha", long, {} as { publicSuffix: boolean })).toThrow(
      "publicSuffix must be true or false",
    )
  })

  it("is text for a person", () => {
    expect(formatServicePlan(servicePlan(grammar, "misha", opencode, { publicSuffix: true })))
      .toBe(`opencode, port 4096, public
  opencode--misha.iterate.app  certificate *.iterate.app        site opencode--misha.iterate.app
  opencode.misha.iterate.app   certificate *.misha.iterate.app  site misha.iterate.app
sites (the domain is on the Public Suffix List)
  flat    each service is a site of its own, without sessions of the others; no cookie is one of all; other tenants are other sites
  nested  services share sessions; cookies with Domain=misha.iterate.app are ones of all; other tenants are other sites
certificates of misha: *.iterate.app, *.misha.iterate.app
`)
    expect(formatServicePlan(servicePlan(grammar, "misha", { services: {} }, { publicSuffix: false }))).toContain(
      "none is needed",
    )
  })
})
