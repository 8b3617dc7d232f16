import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { describe, expect, it } from "vitest"
import { instrument } from "../scripts/walk/instrument.ts"

const root = join(import.meta.dirname, "..")

/** How far one cold request may go through our files. Lower them when a change makes the way shorter. */
const budgets: Record<string, { files: number; hops: number }> = {
  "router.fetch, cold": { files: 72, hops: 300 },
  "serveNode, cold": { files: 99, hops: 470 },
}

interface Walk {
  readonly name: string
  readonly files: number
  readonly hops: number
  readonly steps: readonly { readonly file: string; readonly functions: readonly string[] }[]
}

const walks = async (): Promise<Walk[]> => {
  const flags = ["--conditions=@project-ingress/source", "scripts/walk.ts", "--json"]
  const { stdout } = await promisify(execFile)(process.execPath, flags, { cwd: root, maxBuffer: 1e8 })
  return JSON.parse(stdout) as Walk[]
}

describe("one request", () => {
  it("goes through no more of our files, and back and forth no more often, than its budget says", async () => {
    // Bytes that arrive in more pieces than usual, on a busy machine, make more hops: the shortest of three walks counts.
    let found = await walks()
    const over = () =>
      found.filter(({ name, files, hops }) => {
        const budget = budgets[name]
        return budget !== undefined && (files > budget.files || hops > budget.hops)
      })
    for (let more = 0; more < 2 && over().length > 0; more++) found = await walks()
    expect(over().map(({ name, files, hops }) => `${name}: ${files} files, ${hops} hops`)).toEqual([])
    expect(found.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(budgets)))
    for (const { files, hops, steps } of found) {
      expect(files).toBeGreaterThan(10)
      expect(hops).toBe(steps.length - 1)
      expect(steps.map(({ file }) => file)).toEqual(
        expect.arrayContaining(["packages/router/src/program/handle.ts", "packages/hostname/src/parse.ts"]),
      )
    }
  })
})

describe("the walk sees", () => {
  const seen = async (source: string): Promise<string[]> => {
    const calls: string[] = []
    const before = globalThis.__walk
    globalThis.__walk = (_, name, resumed) => {
      calls.push(resumed === undefined ? name : `…${name}`)
      return resumed?.value
    }
    try {
      const module: { main(): unknown } = await import(
        `data:text/javascript,${encodeURIComponent(instrument("a.js", source))}`
      )
      expect(await module.main()).toBe(3)
    } finally {
      globalThis.__walk = before
    }
    return calls
  }

  it.each([
    ["functions", "function two() { return 2 }\nexport function main() { return two() + 1 }", ["main", "two"]],
    ["arrow functions", "const two = () => 2\nexport const main = () => ({ a: two() + 1 }).a", ["main", "two"]],
    [
      "methods and constructors, but no getter",
      "class A { #a; constructor(a) { this.#a = a } get a() { return this.#a } b() { return this.a + 1 } }\n" +
        "export const main = () => new A(2).b()",
      ["main", "constructor", "b"],
    ],
    [
      "what goes on after an await",
      "const two = async () => 2\nexport const main = async () => (await two()) + 1",
      ["main", "two", "…main"],
    ],
    [
      "what goes on after a yield",
      "const all = function* () { const b = yield 1; return b + (yield* [2].values() ?? 0, 1) }\n" +
        "export const main = () => { const a = all(); a.next(); a.next(2); return a.next().value }",
      ["main", "all", "…all", "…all"],
    ],
  ])("%s", async (_, source, calls) => expect(await seen(source)).toEqual(calls))
})
