import { createHash } from "node:crypto"
import { describe, expect, it } from "vitest"
import {
  defaultHeaderNames as names,
  errorResponse,
  forwardErrors,
  headerValue,
  responseFormat,
} from "../src/forward.ts"
import type { ErrorResponseOptions, ErrorRow } from "../src/forward.ts"
import { validErrorDocs } from "../src/internal.ts"

const make = (row: ErrorRow, options: Partial<ErrorResponseOptions> = {}) => {
  const response = errorResponse(row, { headerNames: names, pseudonym: "test", ...options })
  const header = (lowerName: string) => headerValue(response.headers, lowerName)
  return { ...response, body: response.body as string, header }
}
const row: ErrorRow = {
  status: 403,
  code: "NO_ENTRY",
  error: "http_request_denied",
  title: "R&D is <closed>. Ask v1.2. Bye.",
}
const docs = "https://github.com/iterate/project-ingress/blob/main/docs/errors/PORT_CLOSED.md"
const subject = { hostname: "4096__misha.iterate.app", port: 4096, project: "misha" }
const about = { subject, requestId: "abc-1" }

describe("the format of a failure", () => {
  it.each([
    [{ "sec-fetch-mode": "navigate" }, "page"],
    [{ "sec-fetch-mode": "navigate", accept: "application/json" }, "page"],
    [{ accept: "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8" }, "page"],
    [{ accept: "application/xhtml+xml" }, "page"],
    [{ accept: "application/json;q=0.5, TEXT/HTML" }, "page"],
    // No script gets HTML, whatever it says that it accepts.
    [{ "sec-fetch-mode": "cors", accept: "text/html" }, "json"],
    [{ "sec-fetch-mode": "no-cors", accept: "*/*" }, "json"],
    [{ accept: "application/json" }, "json"],
    [{ accept: "application/json, text/plain, */*" }, "json"],
    [{ accept: "application/json, text/html" }, "json"],
    [{ accept: "text/html;q=0.5, application/problem+json; q=0.9" }, "json"],
    [{ accept: "application/json, text/event-stream" }, "json"],
    [{ upgrade: "websocket" }, "json"],
    [{ upgrade: "WebSocket", accept: "*/*" }, "json"],
    [{ upgrade: "websocket", "sec-fetch-mode": "navigate", accept: "text/html" }, "json"],
    // curl; no header at all, as Go and node:http; and whatever else asks for neither.
    [{ accept: "*/*" }, "text"],
    [{ accept: "*/*", upgrade: "h2c" }, "text"],
    [{}, "text"],
    [{ accept: "" }, "text"],
    [{ accept: "text/plain, application/json" }, "text"],
    [{ accept: "text/html;q=0" }, "text"],
    [{ accept: "text/html;q=NaN, application/json;q=x" }, "text"],
    [{ accept: "constructor, __proto__" }, "text"],
    [{ accept: `${" ".repeat(2_000)}text/html` }, "text"],
  ])("of a request with %j is %s", (headers, format) => {
    expect(responseFormat((name) => (headers as Record<string, string>)[name])).toBe(format)
  })
})

describe("a failure", () => {
  it("has its code, its Proxy-Status and the request's id, and is not cached, in every format", () => {
    for (const format of ["json", "text", "page"] as const) {
      const { status, code, header } = make(forwardErrors.PortClosed, { ...about, format })
      expect([status, code, header(names.error), header(names.requestId)]).toEqual([
        502,
        "PORT_CLOSED",
        "PORT_CLOSED",
        "abc-1",
      ])
      expect(header("proxy-status")).toBe("test; error=connection_refused")
      expect([header("cache-control"), header("x-content-type-options")]).toEqual(["no-store", "nosniff"])
      expect(header("retry-after")).toBe("1")
    }
  })

  it("of a method says in Allow which ones pass, and no other failure does", () => {
    expect(make(forwardErrors.MethodRefused, about).header("allow")).toMatch(/^GET, HEAD, POST, PUT, DELETE, OPTIONS, /)
    expect(make({ ...forwardErrors.PortClosed, status: 405, allow: "GET, HEAD" }, about).header("allow")).toBe(
      "GET, HEAD",
    )
    expect(make({ ...forwardErrors.PortClosed, status: 405 }, about).header("allow")).toBe("")
    expect(make(forwardErrors.MethodRefused, { ...about, status: 404 }).header("allow")).toBeUndefined()
  })

  it("is one line of JSON for a program", () => {
    const { body, header } = make(forwardErrors.PortClosed, about)
    expect(header("content-type")).toBe("application/json")
    expect(body).toMatch(/^\{[^\n]*\}\n$/)
    expect(JSON.parse(body)).toEqual({
      error: "PORT_CLOSED",
      message: "Port 4096 is not listening yet. Start the app in the machine, on localhost or on every address.",
      docs,
      retryable: true,
      requestId: "abc-1",
    })
  })

  it("is one readable line for curl", () => {
    const { body, header } = make(forwardErrors.PortClosed, { ...about, format: "text" })
    expect(header("content-type")).toBe("text/plain; charset=utf-8")
    expect(body).toBe(
      "502 PORT_CLOSED: Port 4096 is not listening yet. Start the app in the machine, on localhost or on every address." +
        ` Try again in 1 s. (request abc-1, ${docs})\n`,
    )
    expect(make(row, { format: "text" }).body).toBe("403 NO_ENTRY: R&D is <closed>. Ask v1.2. Bye.\n")
  })

  it("may be retried where it says when, and where its row says so", () => {
    const retryable = (of: ErrorRow, options = {}) =>
      (JSON.parse(make(of, options).body) as { retryable: boolean }).retryable
    expect(retryable(row)).toBe(false)
    expect(retryable(row, { retryAfter: 3 })).toBe(true)
    expect(retryable(forwardErrors.UpstreamTimeout)).toBe(true)
    expect(retryable({ ...row, retryAfter: 3, retryable: false })).toBe(false)
  })

  it("names what the request asked for, or nothing", () => {
    const title = "{Port}, {port}, {project}, {Hostname}, {hostname}, {Project}, {other}."
    const message = (given: ErrorResponseOptions["subject"]) =>
      (JSON.parse(make({ ...row, title }, given === undefined ? {} : { subject: given }).body) as { message: string })
        .message
    const rest = "{Project}, {other}."
    expect(message(subject)).toBe(
      `Port 4096, port 4096, project misha, ${subject.hostname}, ${subject.hostname}, ${rest}`,
    )
    expect(message({ hostname: "www.example.com" })).toBe(
      `This port, this port, www.example.com, www.example.com, www.example.com, ${rest}`,
    )
    expect(message(undefined)).toBe(`This port, this port, this project, This address, this address, ${rest}`)
  })

  it("shows a name that is none as text: no markup, no control character, no further line", () => {
    const hostname = `<b>$&\u001b[31m\r\nX: 1. Y "'\u00e4${"z".repeat(400)}`
    const detail = `"${hostname}" is bad.`
    for (const format of ["json", "text", "page"] as const) {
      const { body } = make({ ...row, title: "See {hostname}. Bye." }, { subject: { hostname }, detail, format })
      // oxlint-disable-next-line no-control-regex -- what must not be there
      expect(body.replaceAll("\n", "")).not.toMatch(/[\u0000-\u001f\u007f-\uffff]/)
      expect(body.length).toBeLessThan(3_000)
      expect(format === "page" ? body.includes("<b>") : body.indexOf("\n") < body.length - 1).toBe(false)
    }
  })

  it("links to a platform's own pages about codes, if there are some", () => {
    const errorDocs = "https://docs.example.com/{code}?of={code}"
    const url = "https://docs.example.com/NO_ENTRY?of=NO_ENTRY"
    expect(JSON.parse(make(row).body)).not.toHaveProperty("docs")
    expect(JSON.parse(make(row, { errorDocs }).body)).toMatchObject({ docs: url })
    expect(make(row, { errorDocs, format: "text" }).body).toContain(url)
    expect(make(row, { errorDocs, format: "page" }).body).toContain(`<a href="${url}"`)
    expect(make(row, { format: "page" }).body).not.toContain("<a ")
  })

  it.each([
    ["https://docs.example.com/errors/{code}", undefined],
    ["http://localhost:8080/{code}.html", undefined],
    ["https://docs.example.com/", expect.stringContaining("{code}")],
    ["/errors/{code}", expect.stringContaining("{code}")],
    ["javascript:{code}", expect.stringContaining("{code}")],
    ["https://a b/{code}", expect.stringContaining("{code}")],
    [7, expect.stringContaining("{code}")],
  ])("takes %j as their URL: %s", (value, problem) => {
    expect(validErrorDocs(value)).toEqual(problem)
  })

  it.each(Object.entries(forwardErrors))("is complete for %s", (_tag, { status, code, error, title }) => {
    expect([status >= 400 && status < 600, /^[A-Z_]+$/.test(code), /^[a-z_]+$/.test(error)]).toEqual([true, true, true])
    // What happened, and what to do.
    expect(title).toMatch(/^[A-Z{][^<&]*\. [A-Z][^<&]*\.$/)
  })
})

describe("a page", () => {
  const page = (of: ErrorRow, options: Partial<ErrorResponseOptions> = {}) => make(of, { ...options, format: "page" })

  it("shows what happened as a heading and a title, what to do below it, the code and the request", () => {
    const { body } = page(row, { requestId: "abc-1" })
    expect(body).toContain("<title>R&amp;D is &lt;closed&gt;.</title>")
    expect(body).toContain("<h1>R&amp;D is &lt;closed&gt;.</h1><p>Ask v1.2. Bye.</p>")
    expect(body).toContain("<code>403 NO_ENTRY</code>, request <code>abc-1</code>")
  })

  it("is only style and text where waiting does not help", () => {
    const { body, header } = page(row)
    expect(body).not.toMatch(/script|refresh|reloads/)
    expect(header("content-security-policy")).not.toMatch(/script-src|connect-src/)
  })

  it("reloads where waiting helps, with a script or without, and runs no other script", () => {
    for (const of of [forwardErrors.PortClosed, forwardErrors.Overloaded]) {
      const { body, header } = page(of)
      expect(body).toContain("<p>This page reloads when it answers.</p>")
      expect(body).toContain('<noscript><meta http-equiv="refresh" content="5"></noscript>')
      expect(header("content-security-policy")).toContain("connect-src 'self'")
    }
    expect(page(row, { retryAfter: 30 }).body).toContain('http-equiv="refresh" content="30"')
  })

  it("allows by hash exactly the script that it has", () => {
    const { body, header } = page(forwardErrors.PortClosed)
    const [script, ...others] = [...body.matchAll(/<script>(.*?)<\/script>/gs)].map((match) => match[1]!)
    expect(others).toEqual([])
    const hash = createHash("sha256").update(script!).digest("base64")
    expect(header("content-security-policy")).toMatch(`; script-src 'sha256-${hash}'; `)
  })

  it("does not reload after a form was sent, because that would send it again", () => {
    const { body, header } = page(forwardErrors.PortClosed, { method: "POST" })
    expect(body).not.toMatch(/script|refresh|reloads/)
    expect(body).toContain("<p>Go back, and send the form again in a moment.</p>")
    expect(header("content-security-policy")).not.toContain("script-src")
    expect(header("retry-after")).toBe("1")
  })
})
