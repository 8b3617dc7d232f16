import type { DeclaredIngress, DeclaredRule } from "@project-ingress/ingress"
import { checkTraefik, exportTraefik, traefikLabels } from "@project-ingress/ingress/traefik"
import fc from "fast-check"
import { describe, expect, it } from "vitest"
import { yamlText } from "../../src/documents/yaml-text.ts"
import { acme, declared, readYaml } from "./declared.ts"

/** What ends a text, a line, a rule or a label somewhere, and what is read as an instruction. */
const hostile = fc.constantFrom(
  "`",
  '"',
  "'",
  "\\",
  "\n",
  "{{",
  "}}",
  "${X}",
  "$$",
  "$",
  "#",
  ": ",
  " - ",
  ")",
  " || PathPrefix(`/`)",
  ",",
  "=",
  "\t",
  "|",
  "&",
  "*",
  "!",
  "%",
  "\u0000",
  "\u2028",
  "é",
  "</",
  "<<",
)
const text = fc
  .array(fc.oneof(hostile, fc.string({ maxLength: 4 }), fc.constantFrom("a", "x-b", "1")), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts) => parts.join(""))
const values = fc.record({
  path: text.map((each) => `/${each}`),
  header: text,
  value: text,
  name: text,
  set: text,
  service: text,
  host: text,
  check: text.map((each) => `/${each}`),
})

/** A rule as no decoder would let it pass: the writers alone must hold. */
const hostileRule = (
  base: DeclaredRule,
  { path, header, value, name, set, check }: typeof values extends fc.Arbitrary<infer T> ? T : never,
): DeclaredRule => ({
  ...base,
  match: { ...base.match, path: { prefix: path }, method: value, headers: { [header]: value } },
  responseHeaders: { set: { [name]: set } },
  healthCheck: { path: check },
})

const shapeOf = (tree: unknown, names: readonly string[]): unknown => {
  if (Array.isArray(tree)) return tree.map((each) => shapeOf(each, names))
  if (typeof tree !== "object" || tree === null) return typeof tree
  return Object.fromEntries(
    Object.entries(tree).map(([key, each]) => [names.includes(key) ? "NAME" : key, shapeOf(each, names)]),
  )
}

describe("hostile values", async () => {
  const harmless = await declared({
    name: "p",
    rules: [
      {
        match: { hostname: "h.example.com", path: "/a", method: "GET", headers: { "x-a": "b" } },
        target: { url: "http://10.0.0.1" },
        tls: true,
        redirectHttp: true,
        responseHeaders: { set: { "x-b": "c" } },
        healthCheck: { path: "/up" },
      },
      { match: { hostname: "safe.example.com" }, target: { machine: "m", port: 80 } },
    ],
  })
  const address = () => "10.0.0.9"
  const dynamic = (ingress: DeclaredIngress) => {
    const { files, problems } = exportTraefik({ ingresses: [ingress], address }, { acme })
    expect(checkTraefik(files)).toEqual([])
    return { problems, text: files.find(({ path }) => path === "traefik/dynamic/p.yml")!.text, count: files.length }
  }
  const expected = shapeOf(readYaml(dynamic(harmless).text), ["x-b"])
  const rest = shapeOf(
    readYaml(
      dynamic({ ...harmless, rules: [{ ...harmless.rules[0]!, healthCheck: { path: "/`{{" } }, harmless.rules[1]!] })
        .text,
    ),
    [],
  )

  it("never change the structure of a file: they are written as they are, or their rule is refused", () => {
    let written = 0
    fc.assert(
      fc.property(values, (given) => {
        const rule = hostileRule(harmless.rules[0]!, given)
        const { problems, text: file, count } = dynamic({ ...harmless, rules: [rule, harmless.rules[1]!] })
        expect(count).toBe(2)
        const tree = readYaml(file)
        const isWritten = problems.length === 0
        if (isWritten) written += 1
        expect(shapeOf(tree, isWritten ? [given.name] : [])).toEqual(isWritten ? expected : rest)
        const { routers, middlewares, services } = tree["http"]!
        const { path, value, header, name, set, check } = given
        const said = isWritten
          ? [
              `Host(\`h.example.com\`) && (Path(\`${path}\`) || PathPrefix(\`${path}/\`)) && Method(\`${value}\`) && Header(\`${header}\`, \`${value}\`)`,
              { [name]: set },
              check,
            ]
          : [undefined, undefined, undefined]
        expect([
          routers!["p_0"]?.["rule"],
          middlewares?.["p_0_headers"]?.["headers"]?.["customResponseHeaders"],
          services!["p_0"]?.["loadBalancer"]?.["healthCheck"]?.["path"],
        ]).toEqual(said)
        expect(file).not.toMatch(/\{\{|\$\{/)
      }),
      { numRuns: 200 },
    )
    expect(written).toBeGreaterThan(0)
  })

  it("never add or move a label", () => {
    const namesOf = (compose: unknown, field: string): readonly string[] =>
      Object.values((compose as { services: Record<string, { labels: string[] }> }).services)[0]!.labels.map((label) =>
        label.split("=")[0]!.replace(`.customresponseheaders.${field}`, ".FIELD"),
      )
    const { compose: plain } = traefikLabels(
      "p",
      { services: { web: {} } },
      [{ service: "web", port: 80, rule: harmless.rules[0]! }],
      { acme },
    )
    const names = namesOf(plain, "x-b").toSorted()
    fc.assert(
      fc.property(values, (given) => {
        const rule = hostileRule(harmless.rules[0]!, given)
        const input = { services: { web: {} } }
        const { compose, problems } = traefikLabels("p", input, [{ service: "web", port: 80, rule }], { acme })
        const isWritten = problems.length === 0
        expect(compose === input).toBe(!isWritten)
        if (!isWritten) return
        const read = readYaml(yamlText(compose))
        expect(read).toEqual(compose)
        expect(namesOf(read, given.name).toSorted()).toEqual(names)
        const labels = (read as unknown as { services: { web: { labels: string[] } } }).services.web.labels
        // Compose would replace what a single dollar begins.
        for (const label of labels) expect(label.replaceAll("$$", "")).not.toContain("$")
      }),
      { numRuns: 150 },
    )
  })

  it("of an address make its rule refused", () => {
    fc.assert(
      fc.property(text, (host) => {
        const { files, problems } = exportTraefik({ ingresses: [harmless], address: () => host })
        const isAddress = /^[\w.-]+$/.test(host) || /^[\da-fA-F.]*:[\da-fA-F:.]*$/.test(host)
        expect(problems.length).toBe(isAddress ? 0 : 1)
        expect(checkTraefik(files)).toEqual([])
      }),
      { numRuns: 200 },
    )
  })

  it("of user-supplied services pass as they are", () => {
    fc.assert(
      fc.property(text, text, (name, value) => {
        fc.pre(name !== "traefik")
        const services = { [name]: { image: value, environment: { [value]: name } } }
        const { files } = exportTraefik({ ingresses: [], address }, { compose: { services } })
        const compose = readYaml(files.find(({ path }) => path === "docker-compose.yml")!.text)
        expect(compose["services"]![name]).toEqual(services[name])
        expect(Object.keys(compose["services"]!).toSorted()).toEqual([name, "traefik"].toSorted())
      }),
      { numRuns: 100 },
    )
  })
})
