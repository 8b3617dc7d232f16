import { existsSync, readFileSync } from "node:fs"
import { join } from "node:path"
import { checkTraefik, exportTraefik } from "@project-ingress/ingress/traefik"
import { Ajv } from "ajv"
import { describe, expect, it } from "vitest"
import { declared, exported, readYaml } from "./declared.ts"
import { features } from "./features.ts"

const golden = new URL("golden/", import.meta.url).pathname

describe("an export for Traefik", () => {
  it.each(Object.entries(features))("writes %s as the golden files have it", async (name, { ingresses, options }) => {
    const { files, problems } = await exported(ingresses, options)
    expect(problems).toEqual([])
    const all = files.map(({ path, text }) => `--- # ${path}\n${text}`).join("")
    await expect(all).toMatchFileSnapshot(join(golden, `${name}.yml`))
  })

  it.each(Object.entries(features))(
    "gives files for %s that hold together when they are read again",
    async (_, { ingresses, options }) => {
      const { files } = await exported(ingresses, options)
      expect(checkTraefik(files)).toEqual([])
    },
  )

  it("is the same whatever the order of ingresses", async () => {
    const ingresses = await Promise.all(
      Object.entries(features).map(
        async (
          [
            name,
            {
              ingresses: [first],
            },
          ],
          at,
        ) => declared({ ...first!, name: `i-${name.replace(".", "-")}` }, at),
      ),
    )
    const options = {}
    const address = () => "10.0.0.9"
    const forwards = exportTraefik({ ingresses, address }, options)
    expect(exportTraefik({ ingresses: ingresses.toReversed(), address }, options)).toEqual(forwards)
    expect(forwards.files.length).toBeGreaterThan(8)
  })

  it("changes one file when one ingress changes, and no other when one comes", async () => {
    const many = await Promise.all(
      Array.from({ length: 200 }, (_, at) =>
        declared(
          {
            name: `s${at}`,
            rules: [{ match: { hostname: `s${at}.example.com` }, target: { url: `http://10.0.0.5:${at + 1}` } }],
          },
          at,
        ),
      ),
    )
    const address = () => undefined
    const textsOf = (ingresses: typeof many) =>
      new Map(exportTraefik({ ingresses, address }).files.map(({ path, text }) => [path, text]))
    const before = textsOf(many)
    const changed = await declared(
      {
        name: "s7",
        rules: [{ match: { hostname: "other.example.com", path: "/x" }, target: { url: "http://10.0.0.6" } }],
      },
      7,
    )
    const added = await declared(
      { name: "new", rules: [{ match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.7" } }] },
      900,
    )
    const after = textsOf([...many.map((each) => (each.name === "s7" ? changed : each)), added])
    expect([...after].filter(([path, text]) => before.get(path) !== text).map(([path]) => path)).toEqual([
      "traefik/dynamic/new.yml",
      "traefik/dynamic/s7.yml",
    ])
    expect(after.size).toBe(before.size + 1)
  })

  it("keeps files with a secret from other users of the computer", async () => {
    const { files } = await exported(features["access"]!.ingresses)
    expect(files.map(({ path, mode }) => [path, mode])).toEqual([
      ["traefik/dynamic/web.yml", 0o600],
      ["traefik/traefik.yml", undefined],
    ])
  })
})

// They are not part of this repository: a folder with `traefik-v3.json` and `traefik-v3-file-provider.json` of SchemaStore.
const folder = process.env["TRAEFIK_SCHEMAS"]

it("fits the published JSON Schemas", async (ctx) => {
  if (folder === undefined || !existsSync(folder)) {
    ctx.skip("not applicable: TRAEFIK_SCHEMAS names no folder of schemas")
    return
  }
  const schema = (name: string): object => JSON.parse(readFileSync(join(folder, name), "utf8")) as object
  const ajv = new Ajv({ strict: false, allErrors: true, logger: false })
  const statics = ajv.compile(schema("traefik-v3.json"))
  const dynamic = ajv.compile(schema("traefik-v3-file-provider.json"))
  for (const [name, { ingresses, options }] of Object.entries(features)) {
    const { files } = await exported(ingresses, options)
    for (const { path, text } of files) {
      if (path === "docker-compose.yml") continue
      const validate = path === "traefik/traefik.yml" ? statics : dynamic
      validate(readYaml(text))
      expect(validate.errors ?? [], `${name} ${path}`).toEqual([])
    }
  }
})
