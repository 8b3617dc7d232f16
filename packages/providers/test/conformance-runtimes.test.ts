import { generateTicketKeys } from "@project-ingress/forward"
import { afterAll, describe, expect, it } from "vitest"
import { everything } from "../../../test/requirements.ts"
import { providerSuite } from "../src/testing.ts"
import type { LawName, SuiteReport } from "../src/testing.ts"
import { adapters, lanes, leaveOut, skipOf } from "./conformance-adapters.ts"
import type { Adapter, Runtime } from "./conformance-adapters.ts"
import { serveFixture } from "./conformance-hooks.ts"
import type { Given } from "./conformance-main.ts"
import type { AdapterWorker, Remote } from "./conformance-remote.ts"
import type { Asked, Outcome } from "./conformance-worker.ts"
import { run, runners, startWorker } from "./runtimes.ts"
import type { RunningWorker } from "./runtimes.ts"

type Skip = NonNullable<Given["skip"]>

/** Runs the suite in a runtime's own test runner, and gives what was registered there. Rejects when a law is broken. */
const runInProcess = async (runtime: keyof typeof runners, given: Given): Promise<SuiteReport> => {
  const { stdout, stderr } = await run(runners[runtime], "conformance-main.ts", {
    env: { CONFORMANCE: JSON.stringify(given) },
  })
  const printed = stdout + stderr
  expect(printed).toMatch(/# fail 0$|^ *0 fail$| 0 failed/m)
  const report = JSON.parse(/^registered (.*)$/m.exec(printed)![1]!) as SuiteReport
  // Deno's runner cannot skip a test for a reason: it passes.
  const passed = /# pass (\d+)$|^ *(\d+) pass$| (\d+) passed/m.exec(printed)!.slice(1).find(Boolean)
  expect(Number(passed)).toBeGreaterThan(report.tried.length)
  return report
}

const objectsOf = {
  "conformance-worker.ts": { CONTAINERS: "FakeContainer" },
  "conformance-relay-worker.ts": {
    CONTAINERS: "FakeContainer",
    RELAY: { className: "Relay", useSQLite: true },
  },
  "conformance-sandbox-worker.ts": { CONTAINERS: { className: "VendorSandbox", useSQLite: true } },
} satisfies Record<NonNullable<Adapter["worker"]>, object>

interface Started extends AdapterWorker, RunningWorker {}
const workers = new Map<string, Promise<Started>>()
const startedWorker = ({ worker: file = "conformance-worker.ts" }: Adapter): Promise<Started> => {
  const start = async (): Promise<Started> => {
    const { signing } = await generateTicketKeys("relay")
    const worker = await startWorker(file, {
      durableObjects: objectsOf[file],
      compatibilityFlags: [
        "enable_request_signal",
        "request_signal_passthrough",
        "enable_abortsignal_rpc",
        ...(file === "conformance-worker.ts" ? [] : ["nodejs_compat"]),
      ],
      bindings: { SIGNING_KEYS: [signing] },
    })
    return { ...worker, signing }
  }
  if (!workers.has(file)) workers.set(file, start())
  return workers.get(file)!
}
afterAll(async () => {
  for (const worker of workers.values()) await (await worker).dispose()
})

/** Runs the suite in workerd, a request for each law. */
const runInWorker = async ({ url }: AdapterWorker, remote: Remote, skip: Skip): Promise<SuiteReport> => {
  const ask = async (more: Pick<Asked, "law"> = {}): Promise<Outcome> => {
    const asked: Asked = { remote, skip, ...more }
    return (await (await fetch(url, { method: "POST", body: JSON.stringify(asked) })).json()) as Outcome
  }
  const { tried, skipped } = await ask()
  const broken: [LawName, string][] = []
  for (const law of tried) {
    const { error } = await ask({ law })
    if (error !== undefined) broken.push([law, error])
  }
  expect(broken).toEqual([])
  return { tried, skipped }
}

/** Runs the suite on a runtime. Gives what was registered there, and what is registered here with the same deviations. */
const runSuite = async (adapter: Adapter, runtime: Runtime) => {
  const skip = skipOf(adapter, runtime)
  const worker = runtime === "workerd" ? await startedWorker(adapter) : undefined
  const fixture = await adapter.fixture(worker)
  const served = await serveFixture(fixture)
  try {
    // A connection cannot be handed to another process, and `fixtureSocket` is for Node alone.
    const { connect: _, ...handed } = fixture
    const expected = await providerSuite(
      () => {},
      () => (runtime === "node" ? fixture : handed),
      { skip },
    )
    const remote = served.remote()
    const given = adapter.portable === true ? { skip } : { skip, remote }
    const report = runtime === "workerd" ? runInWorker(worker!, remote, skip) : runInProcess(runtime, given)
    return { expected, report: await report }
  } finally {
    await Promise.all([served.close(), fixture.close()])
  }
}

if (!everything) leaveOut("adapters keep the laws on Bun, Deno and workerd", "runs by pnpm test:all")

describe.each(everything ? lanes : [])("%s", { concurrent: true, timeout: 600_000 }, async (_, names) => {
  for (const name of names) {
    const adapter = adapters[name]
    const missing = await adapter.missing?.()
    if (missing !== undefined) leaveOut(`${name} keeps the laws`, missing)
    const elsewhere = adapter.runtimes.filter((runtime) => runtime !== "node" && missing === undefined)
    describe.each(elsewhere)(`${name} on %s`, { concurrent: false }, (runtime) => {
      it("keeps the laws", async () => {
        const { report, expected } = await runSuite(adapter, runtime)
        expect(report).toEqual(expected)
      })
    })
  }
})

describe.each(everything ? ["node:test"] : [])("local with %s", { timeout: 120_000 }, () => {
  it("keeps the laws", async () => {
    const { report, expected } = await runSuite(adapters.local, "node")
    expect(report).toEqual(expected)
  })
})
