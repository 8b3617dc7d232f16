import { readFileSync } from "node:fs"
import { expect, it } from "vitest"
import { machineProxyErrors } from "../packages/machine-proxy/src/error-rows.ts"
import { providerErrors } from "../packages/providers/src/contract/error-rows.ts"
import { routerErrors } from "../packages/router/src/error-rows.ts"
import { AccessDenied } from "../packages/router/src/policies/access-denied.ts"
import { LoginRequired } from "../packages/router/src/policies/login-required.ts"

// A policy's error brings its own row.
const policyErrors = {
  AccessDenied: new AccessDenied().row,
  LoginRequired: new LoginRequired({ location: "/login" }).row,
}

/** The table of docs/architecture.md, made from the rows of the packages. */
const table = (): string => {
  const all = { ...routerErrors, ...policyErrors, ...providerErrors, ...machineProxyErrors }
  const rows = Object.entries(all).map(([tag, row]) => {
    const { status, code, error, retryAfter }: { status: number; code: string; error: string; retryAfter?: number } =
      row
    return [
      `\`${tag}\``,
      String(status),
      `\`${code}\``,
      `\`${error}\``,
      retryAfter === undefined ? "" : `${retryAfter} s`,
    ]
  })
  const head = ["failure", "status", "code", "`Proxy-Status`", "`Retry-After`"]
  const widths = head.map((name, at) => Math.max(name.length, ...rows.map((row) => row[at]?.length ?? 0)))
  const line = (cells: string[]) => `| ${cells.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join(" | ")} |`
  return [line(head), line(widths.map((width) => "-".repeat(width))), ...rows.map((row) => line(row))].join("\n")
}

it("docs/architecture.md shows the error responses of every package", () => {
  const text = readFileSync(new URL("../docs/architecture.md", import.meta.url), "utf8")
  const shown = /<!-- responses:.*?-->\n+(.*?)\n+<!-- \/responses -->/s.exec(text)?.[1]
  expect(shown).toBe(table())
})
