import { execFile } from "node:child_process"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { convertV4MiniflareOptions, Miniflare } from "miniflare"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import type { LawName } from "../src/testing.ts"
import { dockerFixture } from "./conformance-docker.ts"
import { localFixture, urlFixture } from "./conformance-fixtures.ts"
import { serveFixture } from "./conformance-hooks.ts"
import type { Asked, Outcome } from "./conformance-worker.ts"
import { engineMissing } from "./engine.ts"

const path = (relative: string): string => fileURLToPath(new URL(relative, import.meta.url))
const bin = (name: string): string => path(`../../../node_modules/.bin/${name}`)
const source = "--conditions=@project-ingress/source"
const runners: readonly (readonly [runner: string, command: readonly [string, ...string[]]])[] = [
  ["node:test", [process.execPath, source, "--test-reporter=tap"]],
  ["bun:test", [bin("bun"), source, "test", "--timeout=30000"]],
  ["Deno.test", [bin("deno"), "test", "--allow-all", "--no-check", source]],
]

/** Runs the suite in another runtime's own runner, and gives how many tests passed. Rejects when one failed. */
const passedIn = async (
  [command, ...args]: readonly [string, ...string[]],
  env: Readonly<Record<string, string>> = {},
): Promise<number> => {
  const { stdout, stderr } = await promisify(execFile)(command, [...args, path("conformance-main.ts")], {
    env: { ...process.env, ...env, NO_COLOR: "1", VITEST: undefined, NODE_OPTIONS: undefined },
  })
  const printed = stdout + stderr
  expect(printed).toMatch(/# fail 0$|^ *0 fail$| 0 failed/m)
  return Number(/# pass (\d+)$|^ *(\d+) pass$| (\d+) passed/m.exec(printed)!.slice(1).find(Boolean))
}

describe("local keeps the laws", { timeout: 60_000 }, () => {
  it.each(runners)("with %s", async (_, command) => {
    expect(await passedIn(command)).toBeGreaterThan(60)
  })
})

const missing = await engineMissing()
describe.skipIf(missing !== undefined)(
  `docker keeps the laws${missing === undefined ? "" : `: ${missing}`}`,
  { timeout: 120_000 },
  () => {
    // The last law removes the machine, so each runtime has machines of its own.
    it.each(runners.slice(1))("with %s", async (_, command) => {
      const fixture = await dockerFixture()
      const served = await serveFixture(fixture)
      try {
        const given = JSON.stringify({ ...served.remote(), engine: fixture.engine })
        expect(await passedIn(command, { CONFORMANCE_DOCKER: given })).toBeGreaterThan(80)
      } finally {
        served.close()
        await fixture.close()
      }
    })
  },
)

describe("in workerd, with a runner of its own", { timeout: 60_000 }, () => {
  let worker: Miniflare
  let at: URL
  beforeAll(async () => {
    const bundle = await build({
      entryPoints: [path("conformance-worker.ts")],
      bundle: true,
      format: "esm",
      write: false,
      conditions: ["@project-ingress/source", "workerd"],
    })
    const script = bundle.outputFiles[0]!.text
    worker = new Miniflare(
      convertV4MiniflareOptions({ cf: false, modules: true, script, compatibilityDate: "2026-01-01" }),
    )
    at = await worker.ready
  })
  afterAll(() => worker.dispose())

  const skip = {
    "http.gzip": "workerd decodes a body when a Worker reads it; passed on unread it stays as it is",
    "states.stopped-fails": "workerd does not tell a refused connection from a broken one, and nobody knows the state",
  }

  it.each([
    ["local", localFixture],
    ["url", urlFixture],
  ] as const)("%s keeps the laws", async (adapter, setup) => {
    const fixture = await setup()
    const served = await serveFixture(fixture)
    const ask = async (more: Pick<Asked, "law"> = {}): Promise<Outcome> => {
      const asked: Asked = { adapter, remote: served.remote(), skip, ...more }
      return (await (await fetch(at, { method: "POST", body: JSON.stringify(asked) })).json()) as Outcome
    }
    try {
      const { tried } = await ask()
      const broken: [LawName, string][] = []
      for (const law of tried) {
        const { error } = await ask({ law })
        if (error !== undefined) broken.push([law, error])
      }
      expect(broken).toEqual([])
      expect(tried.length).toBeGreaterThan(60)
    } finally {
      served.close()
      await fixture.close()
    }
  })
})
