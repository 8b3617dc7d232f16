/**
 * What a machine lacks (an engine, a browser) skips tests, and a skip nobody sees is a hole. So the run ends with every
 * skipped test under its reason, and with one line that a person and `.ci/run` can both read:
 *
 *     12 passed, 0 failed, 2 skipped
 *
 * With INGRESS_REQUIRE set, such a skip is a failure of the run. A deviation that a suite declares in the test's own name,
 * "(skipped: reason)", is not: no machine can mend it.
 */
import type { Reporter, TestModule } from "vitest/node"

/** What one run came to. Files that do not load, broken hooks and errors outside a test count as failed. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
  /** Of the skipped, those whose name declares why. */
  declared: number
  /** The names of those that passed at their second try, as CI allows. */
  readonly late: string[]
  /** Reason → the names of the tests that gave it. */
  readonly reasons: Map<string, string[]>
}

type Modules = Parameters<NonNullable<Reporter["onTestRunEnd"]>>[0]
type Errors = Parameters<NonNullable<Reporter["onTestRunEnd"]>>[1]

/** Every test in exactly one of three numbers, and every failure outside a test as one more. */
export const tally = (modules: Modules, unhandled: Errors): Tally => {
  const total: Tally = { passed: 0, failed: unhandled.length, skipped: 0, declared: 0, late: [], reasons: new Map() }
  for (const module of modules) count(total, module)
  if (modules.length === 0) total.failed += 1
  return total
}

export const line = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

export default class LastLine implements Reporter {
  onTestRunEnd(modules: Modules, unhandled: Errors): void {
    const total = tally(modules, unhandled)
    for (const [reason, names] of total.reasons) {
      console.log(`\nskipped, ${reason}:`)
      for (const name of names) console.log(`  ${name.length > 200 ? `${name.slice(0, 199)}…` : name}`)
    }
    if (total.late.length > 0) console.log(`\npassed at the second try:\n  ${total.late.join("\n  ")}`)
    const required = process.env["INGRESS_REQUIRE"]
    if (required && total.skipped > total.declared) {
      console.log(`\nINGRESS_REQUIRE=${required} allows no skipped test: the run fails.`)
      process.exitCode = 1
    }
    console.log(`\n${line(total)}`)
  }
}

const count = (total: Tally, module: TestModule): void => {
  const before = total.failed
  // A file that does not load and a hook that throws are errors of a suite, not of a test.
  if (module.errors().length > 0) total.failed += 1
  for (const suite of module.children.allSuites()) if (suite.errors().length > 0) total.failed += 1
  for (const test of module.children.allTests()) {
    const result = test.result()
    if (result.state === "passed") {
      total.passed += 1
      if ((test.diagnostic()?.retryCount ?? 0) > 0) total.late.push(`${module.relativeModuleId} > ${test.fullName}`)
    } else if (result.state === "skipped") {
      total.skipped += 1
      const declared = /\(skipped: (.+)\)$/.exec(test.name)
      if (declared !== null) total.declared += 1
      const reason = declared?.[1] ?? result.note ?? (test.options.mode === "todo" ? "to do" : "no reason given")
      const names = total.reasons.get(reason) ?? []
      names.push(`${module.relativeModuleId} > ${test.fullName}`)
      total.reasons.set(reason, names)
    } else total.failed += 1 // failed, or still pending when the run was cut off
  }
  if (module.state() === "failed" && total.failed === before) total.failed += 1
}
