import { registerLaws } from "@project-ingress/router/internal"
import type { TestRunner } from "@project-ingress/router/testing"
import { decodeIngress } from "../../resource/decode-ingress.ts"
import type { DeclaredIngress } from "../../resource/ingress.ts"
import type { FrontCase, FrontExpectation, FrontOutcome, FrontRequest } from "./front-case.ts"
import { frontCases } from "./front-cases.ts"

/** How long one feature may take, in ms: a front is started for it. */
const FEATURE_TIMEOUT_MS = 60_000

/** A front that runs with what is declared. */
export interface OpenFront {
  readonly ask: (request: FrontRequest) => FrontOutcome | Promise<FrontOutcome>
  readonly close?: () => void | Promise<void>
}

/** How a front is tested. */
export interface FrontSuiteOptions {
  /** The address of a target, by its name. */
  readonly url: (target: string, scheme?: "http" | "https" | "h2c" | "tcp" | "udp") => string
  /** Starts the front, or what stands for it. */
  readonly open: (ingresses: readonly DeclaredIngress[]) => OpenFront | Promise<OpenFront>
  /** Features that the front does not have, each with the reason. */
  readonly skip?: Readonly<Record<string, string>>
}

/** What became of one feature at a front. */
export interface FeatureResult {
  readonly feature: string
  readonly level: "core" | "extended"
  readonly result: "passed" | "failed" | "skipped"
  /** Of a skipped one. */
  readonly reason?: string
}

/**
 * Registers one test for each feature that the front does not skip. The report is complete once they have run.
 *
 * @throws {TypeError} if `skip` names a feature that there is not, or has an empty reason
 */
export const frontSuite = (test: TestRunner, { url, open, skip = {} }: FrontSuiteOptions): readonly FeatureResult[] => {
  const report: FeatureResult[] = frontCases.map(({ feature, level }) => {
    const reason = Object.hasOwn(skip, feature) ? skip[feature] : undefined
    return reason === undefined ? { feature, level, result: "failed" } : { feature, level, result: "skipped", reason }
  })
  const laws = frontCases.map((each, at) => {
    const { feature, level, claim } = each
    const check = async (): Promise<void> => {
      await runCase(each, { url, open })
      report[at] = { feature, level, result: "passed" }
    }
    return [feature, { claim, check }] as const
  })
  registerLaws("frontSuite", test, Object.fromEntries(laws), { skip, lawTimeoutMs: FEATURE_TIMEOUT_MS })
  return report
}

const runCase = async (each: FrontCase, { url, open }: Pick<FrontSuiteOptions, "url" | "open">): Promise<void> => {
  const documents = each.ingresses(url)
  const ingresses = await Promise.all(
    documents.map(async (document, at): Promise<DeclaredIngress> => ({
      id: `case${at}`,
      ...(await decodeIngress(document)),
      version: 1,
      createdAt: at,
      updatedAt: at,
    })),
  )
  const front = await open(ingresses)
  try {
    for (const { request, expect } of each.asks) {
      const differs = difference(await front.ask(request), expect)
      if (differs !== undefined) throw new Error(`${each.feature}: ${JSON.stringify(request)}: ${differs}`)
    }
  } finally {
    await front.close?.()
  }
}

/** What is not as it has to be. */
const difference = (found: FrontOutcome, wanted: FrontExpectation): string | undefined => {
  const { target, status, location, headers = {}, seen = {} } = wanted
  if (target !== undefined) {
    const targets: readonly unknown[] = typeof target === "string" ? [target] : target
    if (!targets.includes(found.target))
      return `it came to ${found.target ?? `status ${found.status}`}, not to ${targets.join(" or ")}`
  } else if (found.target !== undefined) return `it came to ${found.target}`
  if (status !== undefined && found.status !== status) return `the status was ${found.status}, not ${status}`
  if (location !== undefined && found.location !== location) return `it was redirected to ${found.location}`
  for (const [name, value] of Object.entries(headers)) {
    if (found.headers?.[name] !== value) return `the response had ${name}: ${found.headers?.[name]}`
  }
  for (const [name, value] of Object.entries(seen)) {
    if (found.seen?.[name] !== value) return `the target saw ${name}: ${found.seen?.[name]}`
  }
  return undefined
}
