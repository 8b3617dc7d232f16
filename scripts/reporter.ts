/**
 * Ends a test run with one screen: what failed, what passed at its second attempt only, how many tests were skipped for which
 * reason, and, as the last line, the totals, which a person and `.ci/run` can both read:
 *
 *     12 passed, 0 failed, 2 skipped
 *
 * `pnpm test:all` sets `INGRESS_ALL=1`: then a test that is skipped because something is missing (an engine, a browser, a download)
 * fails the run. A deviation that a suite declares in the test's own name, "(skipped: reason)", does not: no machine can change it.
 */
import type { Reporter, TestCase, TestModule, TestSuite } from "vitest/node"

/** The outcome of one run. Files that do not load, hooks that throw and errors outside of a test count as failed. */
export interface Tally {
  passed: number
  failed: number
  skipped: number
  /** Of the skipped, those whose name declares why. */
  declared: number
  /** What failed: where, and the first line of its first error. */
  readonly failures: { readonly name: string; readonly message: string }[]
  /** The names of those that passed at their second attempt, as CI allows. */
  readonly late: string[]
  /** Reason → how many tests were skipped for it. Without the declared ones. */
  readonly reasons: Map<string, number>
}

type Modules = Parameters<NonNullable<Reporter["onTestRunEnd"]>>[0]
type Errors = Parameters<NonNullable<Reporter["onTestRunEnd"]>>[1]

/** Counts each test once, and each failure outside of a test as one more. */
export const tally = (modules: Modules, unhandled: Errors): Tally => {
  const total: Tally = { passed: 0, failed: 0, skipped: 0, declared: 0, failures: [], late: [], reasons: new Map() }
  for (const error of unhandled) fail(total, "outside of a test", [error])
  for (const module of modules) count(total, module)
  if (modules.length === 0) fail(total, "no test file was found", [])
  return total
}

/** The last line of a run. */
export const line = ({ passed, failed, skipped }: Tally): string =>
  `${passed} passed, ${failed} failed, ${skipped} skipped`

/** So many failures are listed; the rest is printed in full above, where the failures are. */
const LISTED = 15
const WIDTH = 150

/** The last screen of a run, line by line. */
export const screen = (total: Tally, isComplete: boolean): string[] => {
  const { failures, late, reasons, declared } = total
  const skips = [...reasons].toSorted(([, a], [, b]) => b - a)
  const inTheWay = isComplete && skips.length > 0
  return [
    ...section(
      "failed",
      failures.flatMap(({ name, message }) => (message === "" ? [name] : [name, `  ${message}`])),
      2 * LISTED,
    ),
    ...section("passed at the second attempt only", late, LISTED),
    ...section(
      "skipped",
      [
        ...skips.map(([reason, times]) => `${String(times).padStart(5)}  ${reason}`),
        ...(declared > 0 ? [`${String(declared).padStart(5)}  declared by a suite: the test says why`] : []),
      ],
      LISTED,
    ),
    ...(inTheWay ? ["", "INGRESS_ALL=1 allows no test to be skipped for want of something: the run fails."] : []),
    "",
    line(total),
  ]
}

const section = (title: string, lines: readonly string[], most: number): string[] => {
  if (lines.length === 0) return []
  const more = lines.length > most ? ["  …"] : []
  return ["", `${title}:`, ...lines.slice(0, most).map((each) => `  ${shortened(each)}`), ...more]
}

const shortened = (text: string) => (text.length > WIDTH ? `${text.slice(0, WIDTH - 1)}…` : text)

/** Prints the last screen; with `INGRESS_ALL=1` also makes the process fail for a skipped test. */
export default class LastScreen implements Reporter {
  onTestRunEnd(modules: Modules, unhandled: Errors): void {
    const total = tally(modules, unhandled)
    const isComplete = process.env["INGRESS_ALL"] === "1"
    if (isComplete && total.reasons.size > 0) process.exitCode = 1
    console.log(screen(total, isComplete).join("\n"))
  }
}

const fail = (total: Tally, name: string, errors: readonly { readonly message?: string }[]): void => {
  total.failed += 1
  total.failures.push({ name, message: (errors[0]?.message ?? "").split("\n")[0] ?? "" })
}

const count = (total: Tally, module: TestModule): void => {
  const before = total.failed
  const file = module.relativeModuleId
  // A file that does not load and a hook that throws are errors of a suite, not of a test.
  if (module.errors().length > 0) fail(total, file, module.errors())
  for (const suite of module.children.allSuites()) {
    if (suite.errors().length > 0) fail(total, `${file} > ${suite.fullName}`, suite.errors())
  }
  for (const test of module.children.allTests()) {
    const result = test.result()
    const name = `${file} > ${test.fullName}`
    if (result.state === "passed") {
      total.passed += 1
      if ((test.diagnostic()?.retryCount ?? 0) > 0) total.late.push(name)
    } else if (result.state === "skipped") {
      total.skipped += 1
      // A law that the suite left out by its name, or found to say nothing of what it tests.
      if (/\(skipped: .+\)$/.test(test.name) || result.note?.startsWith("not applicable: ") === true)
        total.declared += 1
      else {
        const reason = reasonOf(test, result.note)
        total.reasons.set(reason, (total.reasons.get(reason) ?? 0) + 1)
      }
    } else fail(total, name, result.errors ?? [{ message: "never ended: the run was cut off" }])
  }
  if (module.state() === "failed" && total.failed === before) fail(total, file, [])
}

/** What the test gave when it skipped itself, or what the name of a group that is skipped as a whole ends with: "docker: no engine". */
const reasonOf = (test: TestCase, note: string | undefined): string => {
  if (note !== undefined) return note
  if (test.options.mode === "todo") return "to do"
  for (let group: TestSuite | TestModule = test.parent; group.type === "suite"; group = group.parent) {
    const reason = group.options.mode === "skip" ? /: (.+)$/.exec(group.name)?.[1] : undefined
    if (reason !== undefined) return reason
  }
  return "no reason given"
}
