import { escapedHtml } from "@project-ingress/forward/internal"
import type { GeneratedResponse } from "@project-ingress/forward"
import type { ListeningPort, ListeningPorts } from "../policies/inspection.ts"

/** The JSON of the index: `{ ports: [{ port, process, url, visibility }], version }`; 503 `PORTS_UNKNOWN` where the machine cannot be asked. */
export const portIndexJson = (listening: ListeningPorts | undefined): GeneratedResponse => {
  const body =
    listening === undefined
      ? { error: "PORTS_UNKNOWN", message: UNKNOWN, retryable: true }
      : { ports: listening.ports, version: listening.version }
  return {
    status: listening === undefined ? 503 : 200,
    headers: ["Content-Type", "application/json", ...privateFields, ...(listening === undefined ? RETRY : [])],
    body: `${JSON.stringify(body)}\n`,
  }
}

/** The page of the index. Works without scripts, and has none. */
export const portIndexPage =
  ({ page, json }: { readonly page: string; readonly json: string }) =>
  (listening: ListeningPorts | undefined): GeneratedResponse => {
    const wait = listening === undefined ? page : `${page}?wait=30000&since=${encodeURIComponent(listening.version)}`
    return {
      status: listening === undefined ? 503 : 200,
      headers: [
        "Content-Type",
        "text/html; charset=utf-8",
        "Content-Security-Policy",
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'",
        ...privateFields,
        ...(listening === undefined ? RETRY : []),
      ],
      body: `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Ports in use</title>
<style>${STYLE}</style>
<h1>Ports in use</h1>
${contentOf(listening)}
<p><a href="${escapedHtml(wait)}">${listening === undefined ? "Look again" : "Wait for a change"}</a> · <a href="${escapedHtml(json)}">JSON</a></p></html>
`,
    }
  }

const UNKNOWN =
  "The machine cannot say which ports are in use. It may be asleep: open one of its ports, then look again."

/** It depends on the visitor, and is no other page's business. */
const privateFields = [
  "Cache-Control",
  "no-store",
  "X-Content-Type-Options",
  "nosniff",
  "Referrer-Policy",
  "no-referrer",
  "Cross-Origin-Resource-Policy",
  "same-origin",
]
const RETRY = ["Retry-After", "5"]

const STYLE =
  ":root{color-scheme:light dark}body{font:16px/1.5 system-ui,sans-serif;margin:10vh auto;max-width:44rem;padding:0 1rem;overflow-wrap:anywhere;color:CanvasText;background:Canvas}table{border-collapse:collapse;width:100%}th,td{text-align:left;padding:.4rem .8rem .4rem 0;border-bottom:1px solid GrayText}a{color:LinkText}"

const contentOf = (listening: ListeningPorts | undefined): string => {
  if (listening === undefined) return `<p>${UNKNOWN}</p>`
  if (listening.ports.length === 0)
    return "<p>Nothing is listening that you may open. Start the app in the machine, on localhost or on every address.</p>"
  return `<table><thead><tr><th scope="col">Port</th><th scope="col">Process</th><th scope="col">Visibility</th></tr></thead><tbody>
${listening.ports.map(rowOf).join("\n")}
</tbody></table>`
}

const rowOf = ({ port, process, url, visibility }: ListeningPort): string => {
  const name = url === undefined ? String(port) : `<a href="${escapedHtml(url)}">${port}</a>`
  return `<tr><td>${name}</td><td>${escapedHtml(process ?? "unknown")}</td><td>${visibility}</td></tr>`
}
