import { escapedHtml } from "@project-ingress/router/internal"
import type * as OpenApi from "effect/http-api/OpenApi"

/**
 * The page of the API: its operations, and its schemas. It has no script and loads nothing. Effect's own pages, Scalar and Swagger,
 * load theirs from another host, or add 2 to 3 MB to a Worker.
 */
export const docsPage = async (spec: OpenApi.OpenAPISpec, documentPath: string): Promise<Response> => {
  const { title } = spec.info
  const operations = Object.entries(spec.paths).flatMap(([path, methods]) =>
    // None of this API's paths has parameters beside its operations.
    Object.entries(methods as Record<string, OpenApi.OpenAPISpecOperation>).map(([method, operation]) =>
      operationSection(method, path, operation),
    ),
  )
  const schemas = Object.entries(spec.components.schemas).map(
    ([name, schema]) => `<details id="${text(name)}"><summary>${text(name)}</summary>${code(schema)}</details>`,
  )
  const page = `<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>${text(title)}</title>
<style>${STYLE}</style>
<h1>${text(title)}</h1>
<p>Every request has <code>Authorization: Bearer &lt;token&gt;</code>. As a document: <a href="${text(documentPath)}">OpenAPI</a>.</p>
${operations.join("\n")}
<h2>Schemas</h2>
${schemas.join("\n")}
</html>
`
  return new Response(page, {
    headers: {
      "content-type": "text/html; charset=utf-8",
      "content-security-policy": `default-src 'none'; style-src '${await styleHash()}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
      "referrer-policy": "no-referrer",
    },
  })
}

const STYLE = `:root{color-scheme:light dark}body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem 1rem}
h2{font-size:1.05rem;margin-top:2rem}table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}
pre{overflow:auto;font-size:.85em}code{font-family:ui-monospace,monospace}`

const operationSection = (method: string, path: string, operation: OpenApi.OpenAPISpecOperation): string => {
  const rows = [
    ...operation.parameters.map(({ name, in: place, description = "" }) => [name, `${place}. ${description}`]),
    ...Object.entries(operation.responses).map(([status, { description }]) => [status, description]),
  ]
  return `<h2><code>${text(method.toUpperCase())} ${text(path)}</code></h2>
<p>${text(operation.summary ?? "")}</p>
<table>${rows.map(([name = "", about = ""]) => `<tr><td><code>${text(name)}</code><td>${text(about)}`).join("")}</table>
${operation.requestBody === undefined ? "" : `<details><summary>Body</summary>${code(operation.requestBody.content)}</details>`}`
}

const text = (value: string): string => escapedHtml(value)

const code = (value: unknown): string => `<pre><code>${text(JSON.stringify(value, null, 2))}</code></pre>`

/** CSP 3 §8.3. */
const styleHash = async (): Promise<string> => {
  const digest = await crypto.subtle.digest("SHA-256", new TextEncoder().encode(STYLE))
  return `sha256-${btoa(String.fromCharCode(...new Uint8Array(digest)))}`
}
