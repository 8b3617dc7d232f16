import { describe, expect, it } from "vitest"
import { defaultHeaderNames, errorResponse, forwardErrors, headerValue, responseFormat } from "../src/forward.ts"
import { isGrpc } from "../src/internal.ts"

describe("a call of gRPC", () => {
  it.each<[string | undefined, boolean]>([
    ["application/grpc", true],
    ["application/grpc+proto", true],
    ["Application/gRPC; charset=utf-8", true],
    ["application/grpc-web", false],
    ["application/grpc-web+proto", false],
    ["application/grpcx", false],
    ["text/plain", false],
    [undefined, false],
  ])("is known by its Content-Type: %s", (contentType, isCall) => {
    expect(isGrpc(contentType)).toBe(isCall)
    const format = responseFormat((name) => (name === "content-type" ? contentType : undefined))
    expect(format === "grpc").toBe(isCall)
  })

  it.each([
    [400, 13],
    [401, 16],
    [403, 7],
    [404, 12],
    [408, 2],
    [429, 8],
    [500, 13],
    [501, 12],
    [502, 14],
    [503, 14],
    [504, 14],
  ])("that fails with %d has the status %d, in a head alone with 200", (status, code) => {
    const options = { headerNames: defaultHeaderNames, pseudonym: "test", format: "grpc", status } as const
    const response = errorResponse(forwardErrors.PortClosed, options)
    expect([response.status, response.body, headerValue(response.headers, "grpc-status")]).toEqual([
      200,
      "",
      String(code),
    ])
    expect(headerValue(response.headers, "content-type")).toBe("application/grpc")
    expect(headerValue(response.headers, "x-iterate-proxy-error")).toBe("PORT_CLOSED")
    expect(errorResponse(forwardErrors.PortClosed, { ...options, keepStatus: true }).status).toBe(status)
  })

  it("has a message that is percent-encoded, whatever is in it", () => {
    const row = { ...forwardErrors.PortClosed, title: "100 % schlüssig.\r\nx: y \ud800." }
    const { headers } = errorResponse(row, { headerNames: defaultHeaderNames, pseudonym: "test", format: "grpc" })
    const message = headerValue(headers, "grpc-message")!
    expect(message).toMatch(/^[\x21-\x7e]+$/)
    expect(decodeURIComponent(message)).toMatch(/^PORT_CLOSED: 100 % /)
  })
})
