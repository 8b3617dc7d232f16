import { readFileSync, readdirSync } from "node:fs"
import { join } from "node:path"
import { describe, expect, it } from "vitest"

const root = join(import.meta.dirname, "..")
const read = (file: string): string => readFileSync(join(root, file), "utf8")
const folders = readdirSync(join(root, "packages"))

interface Manifest {
  readonly name: string
  readonly version: string
  readonly description: string
  readonly keywords: readonly string[]
  readonly homepage: string
  readonly bugs: string
  readonly license: string
  readonly repository: { readonly directory: string }
  readonly engines: { readonly node: string }
  readonly dependencies?: Readonly<Record<string, string>>
}
const manifestOf = (folder: string): Manifest => JSON.parse(read(`packages/${folder}/package.json`)) as Manifest

/** `jose: ^6.2.17` of the catalog in pnpm-workspace.yaml: what `catalog:` becomes in a published manifest. */
const catalog = Object.fromEntries(
  [...read("pnpm-workspace.yaml").matchAll(/^ {2}"?([^\s":]+)"?: (\S+)$/gm)].map((match) => [
    match[1] ?? "",
    match[2] ?? "",
  ]),
)

describe.each(folders)("the manifest of %s", (folder) => {
  const manifest = manifestOf(folder)

  it("says what the package is and where it comes from", () => {
    expect(manifest).toMatchObject({
      name: `@project-ingress/${folder}`,
      license: "MIT",
      homepage: expect.stringMatching(new RegExp(`^https://.*/packages/${folder}#readme$`)),
      bugs: expect.stringMatching(/^https:\/\/.*\/issues$/),
      repository: { directory: `packages/${folder}` },
      engines: { node: manifestOf("router").engines.node },
    })
    expect(manifest.description.length).toBeGreaterThan(40)
    expect(manifest.keywords.length).toBeGreaterThan(4)
  })

  it("has the version of the others, which are released as one", () => {
    expect(manifest.version).toBe(manifestOf("router").version)
  })

  it("takes its dependencies in ranges: a fix there needs no release here", () => {
    for (const [name, version] of Object.entries(manifest.dependencies ?? {})) {
      expect([name, version === "catalog:" ? catalog[name] : version]).toEqual([
        name,
        expect.stringMatching(/^(?:\^\d|workspace:\^$)/),
      ])
    }
  })
})

it("the README names the Node of the manifests", () => {
  const [, floor] = /^>=(\d+\.\d+)/.exec(manifestOf("router").engines.node) ?? []
  expect(read("README.md")).toContain(`Node ${floor} or newer`)
})
