import { jsonLine } from "@project-ingress/forward/internal"
import type { RequestEvent } from "@project-ingress/forward/sockets"
import * as fc from "fast-check"
import { describe, expect, it } from "vitest"
import { logLine } from "../src/log.ts"

const time = new Date(0)
const event: RequestEvent = {
  type: "request",
  method: "GET",
  host: "localhost",
  target: "/a?token=secret",
  status: 200,
  upgrade: false,
  bytesIn: 1,
  bytesOut: 2,
  durationMs: 1.2345,
  remoteAddress: "127.0.0.1",
  complete: true,
}
const fieldsOf = (text: string | undefined) => JSON.parse(text ?? "null") as Record<string, unknown>

describe("D08 an access line", () => {
  it("describes the request, without the query", () => {
    expect(fieldsOf(logLine(event, "access", time))).toEqual({
      time: "1970-01-01T00:00:00.000Z",
      level: "info",
      message: "request",
      method: "GET",
      host: "localhost",
      path: "/a",
      status: 200,
      upgrade: false,
      bytesIn: 1,
      bytesOut: 2,
      durationMs: 1.2,
      remoteAddress: "127.0.0.1",
      complete: true,
    })
  })

  it("is one printable line, cut, whatever the client sent", () => {
    const hostile = fc.oneof(
      fc.string({ unit: "binary", maxLength: 3_000 }),
      fc.constantFrom(
        "\r\n{}",
        "\u001b[2J",
        "\u009b2J",
        "\u2028",
        "\u2029",
        "\u007f",
        '"',
        "\\",
        "x".repeat(1_000_000),
      ),
    )
    fc.assert(
      fc.property(hostile, hostile, (target, host) => {
        const text = logLine({ ...event, target, host }, "access", time)!
        // oxlint-disable-next-line no-control-regex
        expect(text).not.toMatch(/[\u0000-\u001f\u007f-\u009f\u2028\u2029]/)
        expect(fieldsOf(text)).toHaveProperty("host", host.length > 1_024 ? `${host.slice(0, 1_023)}…` : host)
        expect(text.length).toBeLessThan(16_000)
      }),
    )
  })

  it("reads back as what was written", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 1_000 }), (value) => {
        expect(JSON.parse(jsonLine({ value }))).toEqual({ value })
      }),
    )
  })

  it("is left out as the level says", () => {
    const failed = { ...event, status: 502, code: "PORT_CLOSED" }
    expect(logLine(event, "errors", time)).toBeUndefined()
    expect(fieldsOf(logLine(failed, "errors", time))).toMatchObject({ level: "warn", code: "PORT_CLOSED" })
    expect(fieldsOf(logLine({ ...event, complete: false }, "errors", time))).toMatchObject({ complete: false })
    expect(logLine(failed, "off", time)).toBeUndefined()
  })

  it("names an internal error and its cause", () => {
    const error = { type: "error", tag: "ProxyFailed", reason: "no\nway", cause: new TypeError("no\nway") } as const
    expect(fieldsOf(logLine(error, "errors", time))).toMatchObject({
      level: "error",
      message: "error",
      tag: "ProxyFailed",
      cause: "TypeError: no\nway",
    })
    expect(logLine({ ...error, cause: undefined }, "access", time)).toContain('"cause":"undefined"')
  })
})
