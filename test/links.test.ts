import { existsSync, readFileSync } from "node:fs"
import { dirname, join } from "node:path"
import { expect, it } from "vitest"
import { trackedFiles } from "./repository.ts"

const root = join(import.meta.dirname, "..")
const pages = trackedFiles((file) => file.endsWith(".md") && !file.startsWith(".changeset/"))

/** What a page names that is not there: targets of relative links, and `packages/…`, `test/…` and `docs/…` as code. */
const missing = (page: string, text: string): string[] => {
  const links = [...text.matchAll(/\]\((?!\w+:|#)([^)#\s]+)[^)]*\)/g)].map((match) =>
    join(dirname(page), match[1] ?? ""),
  )
  const paths = [...text.matchAll(/`((?:packages|test|docs|scripts|examples)\/[\w./-]+)`/g)].map(
    (match) => match[1] ?? "",
  )
  // In a package's or an example's page `test/…` is its own.
  const isThere = (path: string) => existsSync(join(root, path)) || existsSync(join(root, dirname(page), path))
  return [...links, ...paths].filter((path) => !isThere(path)).map((path) => `${page}: ${path}`)
}

it("every page names only files that are there", () => {
  expect(pages.length).toBeGreaterThan(10)
  expect(pages.flatMap((page) => missing(page, readFileSync(join(root, page), "utf8"))).join("\n")).toBe("")
})

it("a name of a missing file is found", () => {
  const text = "[a](nowhere.md) [b](README.md#x) [c](https://example.com) `packages/none/src/x.ts` `test/words.test.ts`"
  expect(missing("README.md", text)).toEqual(["README.md: nowhere.md", "README.md: packages/none/src/x.ts"])
})
