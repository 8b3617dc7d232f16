import { describe, expect, it } from "vitest"
import { defaultHeaderNames as names, requestHeaders } from "../src/forward.ts"
import type { HeaderList, RequestHop } from "../src/forward.ts"

const add = [names.targetHost, "3000__a", names.ticket, "ours", "X-Forwarded-For", "192.0.2.1"]
const base: RequestHop = { headerNames: names, host: "app", pseudonym: "test", trusted: false, add }
const inbound = [
  ...[
    "Host",
    "evil",
    "Content-Length",
    "5",
    "Via",
    "1.1 before",
    "Connection",
    "X-Secret, keep-alive",
    "X-Secret",
    "1",
  ],
  ...["Transfer-Encoding", "chunked", "TE", "trailers", "Expect", "100-continue", names.ticket, "forged"],
  ...["X-Forwarded-For", "203.0.113.9", "X-App", "a", "Cookie", "edge=1; b=2", "X-App", "b"],
]
const edited = (edit: NonNullable<RequestHop["edit"]>, more: Partial<RequestHop> = {}) =>
  requestHeaders(inbound, { ...base, edit, edgeCookies: ["edge"], ...more })

describe("an edit of a request", () => {
  it("sees what is left of the client's fields, and neither framing nor anything of the hop", () => {
    const seen: HeaderList[] = []
    const edit = (fields: HeaderList) => (seen.push(fields), fields)
    edited(edit, { upgrade: true, expect: true, trailers: true })
    expect(seen).toEqual([["X-App", "a", "Cookie", "b=2", "X-App", "b"]])
  })

  it("gives what is sent instead, before what is added", () => {
    expect(edited((fields) => ["X-User", "misha", ...fields.slice(2)], { upgrade: true })).toEqual([
      ...["Host", "app", "Content-Length", "5", "Via", "1.1 before", "X-User", "misha", "Cookie", "b=2", "X-App", "b"],
      ...["Connection", "Upgrade", "Upgrade", "websocket", "Via", "1.1 test", ...add],
    ])
  })

  it("cannot frame the message, nor set, precede or double a field of the hop", () => {
    const wanted = [
      ...["content-length", "9", "Transfer-Encoding", "chunked", "CONNECTION", "close", "Upgrade", "h2c", "TE", "gzip"],
      ...["host", "evil", "Via", "1.1 other", names.ticket.toUpperCase(), "forged", names.via, "x"],
      ...["x-forwarded-for", "203.0.113.9", "Expect", "200", "Trailer", "x"],
    ]
    expect(edited(() => wanted)).toEqual([
      ...["Host", "app", "Content-Length", "5", "Via", "1.1 before", "Via", "1.1 test", ...add],
    ])
  })

  it("sees the fields that a trusted sender had encapsulated, by their own names", () => {
    const seen: HeaderList[] = []
    const fields = [`${names.tunnel}authorization`, "Basic x", `${names.tunnel}host`, "public", names.targetHost, "t"]
    const edit = (list: HeaderList) => (seen.push(list), list)
    const out = requestHeaders(fields, { ...base, trusted: true, add: [], edit })
    expect(seen).toEqual([["authorization", "Basic x"]])
    expect(out).toEqual(["Host", "public", "authorization", "Basic x", "Via", "1.1 test"])
  })

  it.each<[string, unknown]>([
    ["a line end", ["X-A", "b\r\nX-C: d"]],
    ["a name that is no token", ["X A", "b"]],
    ["a character above one byte", ["X-A", "\u0100"]],
    ["a name without a value", ["X-A"]],
    ["a value that is no text", ["X-A", undefined]],
    ["nothing", undefined],
  ])("that gives %s throws", (_what, wanted) => {
    expect(() => edited(() => wanted as HeaderList)).toThrow(TypeError)
  })

  it("that throws is not caught", () => {
    const edit = () => {
      throw new RangeError("mine")
    }
    expect(() => edited(edit)).toThrow(new RangeError("mine"))
  })
})
