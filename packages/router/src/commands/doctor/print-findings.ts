import { exitCodeOf } from "./finding.ts"
import type { Finding } from "./finding.ts"

const signs = { ok: "ok     ", warning: "warning", error: "error  " } as const

/** For people: one finding after the other, then how many there are. */
export const findingsText = (findings: readonly Finding[]): string => {
  const lines = findings.flatMap(({ level, code, resource, detail, fix }) => [
    `${signs[level]}  ${code}  ${resource}`,
    `         ${detail}`,
    ...(fix === undefined ? [] : [`         → ${fix}`]),
  ])
  const count = (level: Finding["level"]) => findings.filter((finding) => finding.level === level).length
  return [...lines, `${count("error")} errors, ${count("warning")} warnings, ${count("ok")} ok`, ""].join("\n")
}

/** For programs: one document. */
export const findingsJson = (url: URL, findings: readonly Finding[]): string =>
  `${JSON.stringify({ url: url.href, exitCode: exitCodeOf(findings), findings }, null, 2)}\n`
