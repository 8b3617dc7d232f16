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

/** The anchors of a page's headings, as GitHub makes them. */
const anchors = (text: string): ReadonlySet<string> => {
  const found = new Set<string>()
  for (const [, heading = ""] of text.replaceAll(/^```.*?^```$/gms, "").matchAll(/^#{1,6} (.*)$/gm)) {
    const name = heading
      .replaceAll(/\[([^\]]*)\]\([^)]*\)/g, "$1")
      .toLowerCase()
      .replaceAll(/[^\p{L}\p{N}_ -]/gu, "")
      .trim()
      .replaceAll(" ", "-")
    let anchor = name
    for (let at = 1; found.has(anchor); at += 1) anchor = `${name}-${at}`
    found.add(anchor)
  }
  return found
}

/** The links of a page with an anchor that its target does not have. */
const missingAnchors = (page: string, text: string, read: (page: string) => string): string[] =>
  [...text.matchAll(/\]\((?!\w+:)([^)#\s]*)#([^)\s]+)\)/g)].flatMap(([link, path = "", anchor = ""]) => {
    const target = path === "" ? page : join(dirname(page), path)
    const file = target.endsWith(".md") ? target : join(target, "README.md")
    return anchors(file === page ? text : read(file)).has(anchor) ? [] : [`${page}: ${link.slice(2, -1)}`]
  })

it("every link to a part of a page leads to a heading of it", () => {
  const read = (page: string) => readFileSync(join(root, page), "utf8")
  expect(pages.flatMap((page) => missingAnchors(page, read(page), read)).join("\n")).toBe("")
  const text = "# A `b` [c](d.md)\n## Two\n## Two\n[x](#a-b-c) [y](#two-1) [z](#two-2) [w](other.md#gone)"
  expect(missingAnchors("docs/page.md", text, () => "# Here")).toEqual([
    "docs/page.md: #two-2",
    "docs/page.md: other.md#gone",
  ])
})

it("every page in docs is linked from another page", () => {
  const texts = pages.map((page) => [page, readFileSync(join(root, page), "utf8")] as const)
  const linked = new Set(
    texts.flatMap(([page, text]) =>
      [...text.matchAll(/\]\((?!\w+:)([^)#\s]+)[^)]*\)/g)]
        .map((match) => join(dirname(page), match[1] ?? ""))
        .filter((target) => target !== page),
    ),
  )
  expect(pages.filter((page) => page.startsWith("docs/") && !linked.has(page))).toEqual([])
})

it("a name of a missing file is found", () => {
  const text = "[a](nowhere.md) [b](README.md#x) [c](https://example.com) `packages/none/src/x.ts` `test/words.test.ts`"
  expect(missing("README.md", text)).toEqual(["README.md: nowhere.md", "README.md: packages/none/src/x.ts"])
})
