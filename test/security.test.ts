import { readFileSync } from "node:fs"
import { join } from "node:path"
import { expect, it } from "vitest"
import { missingTests } from "./named-tests.ts"

const root = join(import.meta.dirname, "..")

/** Tests that a page names, as `- \`file\`: claim`, and that are not in that file. */
const missing = (page: string): string[] =>
  missingTests([...page.matchAll(/^- `([^`]+\.test\.ts)`: (.+)$/gm)].map(([, file, claim]) => [file!, claim!] as const))

it("the page on security names only tests that exist", () => {
  const page = readFileSync(join(root, "docs/security.md"), "utf8")
  expect(page.match(/^- `/gm)!.length).toBeGreaterThan(30)
  expect(missing(page)).toEqual([])
})

it("a test that does not exist is found", () => {
  const page =
    "- `test/security.test.ts`: a test that does not exist is found\n- `test/none.test.ts`: x\n- `test/links.test.ts`: no such claim\n"
  expect(missing(page)).toEqual(["test/none.test.ts: x", "test/links.test.ts: no such claim"])
})
