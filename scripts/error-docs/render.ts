import { markdownTable } from "../tables.ts"
import { errorText } from "../../packages/forward/src/error-text.ts"
import type { ErrorRow } from "../../packages/forward/src/error-row.ts"
import type { CodePage } from "./code-page.ts"
import { enginePages } from "./engine.ts"
import { machineProxyPages } from "./machine-proxy.ts"
import { providerPages } from "./providers.ts"
import { routerPages } from "./router.ts"
import { knownRows, rowsByCode } from "./rows.ts"
import type { KnownRow } from "./rows.ts"

/** What is written about each code. */
export const pages: Readonly<Record<string, CodePage>> = {
  ...routerPages,
  ...providerPages,
  ...machineProxyPages,
  ...enginePages,
}

const subject = { hostname: "4096__misha.example.com", port: 4096, project: "misha" }

const message = (row: ErrorRow): string => {
  const { what, next } = errorText(row, subject)
  return `${what} ${next}`.trimEnd()
}

const mayRetry = ({ retryable, retryAfter }: ErrorRow): boolean => retryable ?? retryAfter !== undefined

const reason = ({ row, by }: KnownRow): string => {
  const wait = row.retryAfter === undefined ? "" : ` and \`Retry-After: ${row.retryAfter}\``
  const retry = mayRetry(row) ? "may succeed" : "is not expected to succeed"
  return `> ${message(row)}

Status ${row.status} from the ${by.join(" or the ")}, with \`Proxy-Status: …; error=${row.error}\`${wait}. The same request ${retry} when it is
sent again (\`retryable: ${mayRetry(row)}\`).
`
}

/** The page about one code. */
const pageOf = (code: string, rows: readonly KnownRow[], { cause, fix, command }: CodePage): string => `# ${code}

${rows.map(reason).join("\n")}
## Cause

${cause}

## Fix

${fix.map((each) => `- ${each}`).join("\n")}

## A command to try

\`\`\`sh
${command}
\`\`\`

[All codes, and what the addresses in commands stand for](README.md)
`

const index = (): string => `# Error codes

A response that a proxy generated has a code: in \`x-iterate-proxy-error\`, in \`error\` of the JSON, on the page, and in the line that
curl shows. An app's own error has none. Beside it is the id of the request, \`x-iterate-proxy-request-id\`, which the router's event
of the request has as \`requestId\`, with what visitors are not shown.

In the commands, \`203.0.113.10\` stands for the router, \`example.com\` for the domain of the platform, \`misha\` for a project,
\`192.0.2.7:8080\` for a machine proxy. To a router without TLS, write \`:80:\` and \`http://\`.

${markdownTable(
  ["code", "status", "what happened"],
  [...rowsByCode].map(([code, rows]) => [
    `[\`${code}\`](${code}.md)`,
    [...new Set(rows.map(({ row }) => row.status))].join(", "),
    errorText(rows[0]!.row).what,
  ]),
)}

A test compares these pages with the tables of the packages; \`pnpm errors\` writes them from \`scripts/error-docs/\`.
`

/** The table of docs/architecture.md. */
export const rowTable = (): string =>
  markdownTable(
    ["failure", "status", "code", "`Proxy-Status`", "`Retry-After`", "retryable"],
    knownRows.map(({ tag, row }) => [
      `\`${tag}\``,
      String(row.status),
      `[\`${row.code}\`](errors/${row.code}.md)`,
      `\`${row.error}\``,
      row.retryAfter === undefined ? "" : `${row.retryAfter} s`,
      mayRetry(row) ? "yes" : "no",
    ]),
  )

/** The files of docs/errors, by name. */
export const files = (): ReadonlyMap<string, string> =>
  new Map([
    ["README.md", index()],
    ...[...rowsByCode].flatMap(([code, rows]) => {
      const page = pages[code]
      return page === undefined ? [] : [[`${code}.md`, pageOf(code, rows, page)] as const]
    }),
  ])
