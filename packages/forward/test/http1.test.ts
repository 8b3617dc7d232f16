import fc from "fast-check"
import { describe, expect, it, vi } from "vitest"
import { requestReader, responseReader } from "../src/http1.ts"
import { isAuthority } from "../src/http1/request-reader.ts"

const limits = {
  maxRequestHead: 65_536,
  maxResponseHead: 65_536,
  maxTarget: 32_768,
  maxFields: 1_000,
  maxChunkOverhead: 16_384,
}
const latin1 = (text: string) => Buffer.from(text, "latin1")

/** What a reader says of octets that come in these pieces; ranges of a body are joined, because splits move them. */
const eventsOf = (pieces: readonly Uint8Array[], method?: string, fin = false): unknown[] => {
  const reader = method === undefined ? requestReader(limits) : responseReader(limits)
  if ("expect" in reader) reader.expect(method!)
  const events: unknown[] = []
  let body = ""
  const drain = () => {
    for (let event = reader.read(); event !== undefined; event = reader.read()) {
      if (event.type === "body") {
        body += Buffer.from(event.bytes).toString("latin1")
        continue
      }
      if (body !== "") events.push({ type: "body", body })
      body = ""
      events.push(event.type === "refusal" ? { type: "refusal" } : event)
    }
  }
  for (const piece of pieces) {
    // A copy: a reader may keep a view of what it is given, and sockets do not reuse their buffers.
    reader.push(Uint8Array.from(piece))
    drain()
  }
  if (fin) {
    reader.end()
    drain()
  }
  if (body !== "") events.push({ type: "body", body })
  return events
}

const request = (text: string) => eventsOf([latin1(text)])
const response = (text: string, method = "GET", fin = false) => eventsOf([latin1(text)], method, fin)
const types = (events: unknown[]) => events.map((event) => (event as { type: string }).type)
const tagOf = (text: string) => {
  const reader = requestReader(limits)
  reader.push(latin1(text))
  for (let event = reader.read(); event !== undefined; event = reader.read()) {
    if (event.type === "refusal") return event.tag
  }
  return undefined
}
const H = "Host: a\r\n"

describe("a request", () => {
  it("is read with names, values, order and repetition as sent", () => {
    expect(request("GET /a/../b?x=%zz HTTP/1.1\r\nhOsT: a.b:80\r\nX-M: 1\r\nx-m:\t2 \r\nX-E:\r\n\r\n")).toEqual([
      {
        type: "head",
        method: "GET",
        target: "/a/../b?x=%zz",
        version: 11,
        headers: ["hOsT", "a.b:80", "X-M", "1", "x-m", "2", "X-E", ""],
        host: "a.b:80",
        framing: 0,
        upgrade: false,
        expect: false,
        keepAlive: true,
      },
    ])
  })

  it("keeps octets above 0x7f of a value", () => {
    const [head] = request(`GET / HTTP/1.1\r\n${H}X: \xe9\xff\r\n\r\n`) as [{ headers: string[] }]
    expect(head.headers[3]).toBe("\xe9\xff")
  })

  it("is followed by the next one on the connection", () => {
    expect(types(request(`POST / HTTP/1.1\r\n${H}Content-Length: 3\r\n\r\nabcGET / HTTP/1.1\r\n${H}\r\n`))).toEqual([
      "head",
      "body",
      "end",
      "head",
    ])
  })

  it.each([
    ["GET http://o.x/p?q HTTP/1.1", "o.x", "/p?q"],
    ["GET http://o.x?q HTTP/1.1", "o.x", "/?q"],
    ["OPTIONS http://o.x HTTP/1.1", "o.x", "*"],
    ["GET HTTP://O.x:8 HTTP/1.1", "O.x:8", "/"],
    ["OPTIONS * HTTP/1.1", "a", "*"],
    ["GET //evil/x HTTP/1.1", "a", "//evil/x"],
  ])("%s is for %s and asks for %s", (line, host, target) => {
    expect(request(`${line}\r\n${H}\r\n`)).toMatchObject([{ type: "head", host, target }])
  })

  it.each([
    ["GET", true],
    ["POST", false],
  ])("upgrades with %s: %s", (method, upgrade) => {
    const text = `${method} / HTTP/1.1\r\n${H}Connection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n\r\n`
    expect(request(text)).toMatchObject([{ upgrade }])
  })
})

describe("what is ambiguous is refused", () => {
  const heads: readonly (readonly [string, string])[] = [
    ["Content-Length and Transfer-Encoding", "POST / HTTP/1.1\r\nContent-Length: 4\r\nTransfer-Encoding: chunked"],
    ["two lengths", "POST / HTTP/1.1\r\nContent-Length: 4\r\nContent-Length: 4"],
    ...["5, 5", "+5", "-0", "0x5", "5_0", "5 5", "1e1", "5Z", "", ",5", "005", "9007199254740993", "1".repeat(30)].map(
      (length) => [`length ${JSON.stringify(length)}`, `POST / HTTP/1.1\r\nContent-Length: ${length}`] as const,
    ),
    ...[
      "chunked;a=b",
      ",chunked",
      "chunked,",
      "chunked, identity",
      '"chunked"',
      "chunked, chunked",
      "",
      "x chunked",
    ].map((coding) => [`coding ${JSON.stringify(coding)}`, `POST / HTTP/1.1\r\nTransfer-Encoding: ${coding}`] as const),
    ["two codings", "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked"],
    ["a coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked"],
    ["folding", "GET / HTTP/1.1\r\nX: a\r\n b"],
    ["a space before the colon", "GET / HTTP/1.1\r\nX : a"],
    ["a space before the first field", "GET / HTTP/1.1\r\n X: a"],
    ["an empty name", "GET / HTTP/1.1\r\n: a"],
    ["no colon", "GET / HTTP/1.1\r\nabc"],
    ["a name with brackets", "GET / HTTP/1.1\r\nX[a]: b"],
    ["a bare CR", "GET / HTTP/1.1\r\nX: a\rb"],
    ["a NUL", "GET / HTTP/1.1\r\nX: a\0b"],
    ["a second host", "GET / HTTP/1.1\r\nHost: b"],
    ["a fragment", "GET /#a HTTP/1.1"],
    ["two spaces", "GET  / HTTP/1.1"],
    ["a tab", "GET\t/ HTTP/1.1"],
    ["a trailing space", "GET / HTTP/1.1 "],
    ["a lower-case version", "GET / http/1.1"],
    ["a target without a slash", "GET a HTTP/1.1"],
    ["another scheme", "GET ftp://a/ HTTP/1.1"],
    ["userinfo", "GET http://u@a/ HTTP/1.1"],
    ["* with GET", "GET * HTTP/1.1"],
    ["a raw octet in the target", "GET /\xe9 HTTP/1.1"],
  ]
  it.each(heads)("%s", (_, head) => {
    expect(types(request(`${head}\r\n${H}\r\n`))).toEqual(["refusal"])
  })

  it.each([
    ["a bare LF", "GET / HTTP/1.1\nHost: a\n\n"],
    ["no Host", "GET / HTTP/1.1\r\nX: a\r\n\r\n"],
    ["a TLS greeting", "\x16\x03\x01\x02\x00\x01"],
    ["an SSH banner", "SSH-2.0-OpenSSH_9.2\r\n"],
    ["HTTP/0.9", "GET /\r\n"],
    ["the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  ])("%s, at once", (_, text) => {
    expect(types(request(text))).toEqual(["refusal"])
  })

  it.each(["+5", "0x5", "5_", " 5", "5 ", "", "FFFFFFFFFFFFFFFFF", "5\n", "5\rX", "-5", "g"])(
    "chunk size %j",
    (size) => {
      const events = request(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${size}\r\nabcde\r\n0\r\n\r\n`)
      expect(types(events)).toEqual(["head", "refusal"])
    },
  )

  it.each([
    ["longer than its size", "3\r\nabcd\r\n0\r\n\r\n", ["head", "body", "refusal"]],
    ["ending in a bare LF", "3\r\nabc\n0\r\n\r\n", ["head", "body", "refusal"]],
    ["with a trailer that is folded", "0\r\nX: a\r\n b\r\n\r\n", ["head", "refusal"]],
    ["with a control octet in an extension", "3;a=\x01\r\nabc\r\n0\r\n\r\n", ["head", "refusal"]],
  ])("a chunk %s", (_, body, expected) => {
    expect(types(request(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${body}`))).toEqual(expected)
  })

  it.each([
    "",
    " ",
    "a;",
    ";a",
    "=b",
    "a=",
    "a=b c",
    "a b",
    "a=b ",
    'a="b',
    'a="b"c',
    'a=b"c"',
    'a="\x7f"',
    '"a"',
    "a@b",
    "a=b=c",
  ])("an invalid extension of a chunk: ;%s", (extension) => {
    const body = `3;${extension}\r\nabc\r\n0\r\n\r\n`
    expect(types(request(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${body}`))).toEqual([
      "head",
      "refusal",
    ])
  })

  it.each(["a", "a=b", " a\t=\tb ;c", 'a="b;c=\\"\t\xe9\\\\";d', 'a=""', "a=b;".repeat(100) + "z"])(
    "no valid extension of a chunk: ;%s",
    (extension) => {
      const body = `3;${extension}\r\nabc\r\n0;${extension}\r\n\r\n`
      expect(types(request(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n${body}`))).toEqual([
        "head",
        "body",
        "end",
      ])
    },
  )

  it("trailers in linear time, however they trickle in", () => {
    const trailers = `X-A: ${"a".repeat(8_000)}\r\nX-B: ${"b".repeat(8_000)}\r\n`
    const reader = requestReader(limits)
    reader.push(latin1(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: chunked\r\n\r\n0\r\n`))
    expect(reader.read()?.type).toBe("head")
    let looked = 0
    const { toString, indexOf } = Buffer.prototype
    const texts = vi.spyOn(Buffer.prototype, "toString").mockImplementation(function (this: Buffer, ...args) {
      const text = toString.apply(this, args)
      looked += text.length
      return text
    })
    const searches = vi.spyOn(Buffer.prototype, "indexOf").mockImplementation(function (this: Buffer, value, from) {
      looked += this.length - Number(from)
      return indexOf.call(this, value, from)
    })
    try {
      for (const byte of trailers) {
        reader.push(latin1(byte))
        expect(reader.read()).toBeUndefined()
      }
      reader.push(latin1("\r\n"))
      expect(reader.read()).toEqual({ type: "end", trailers: ["X-A", "a".repeat(8_000), "X-B", "b".repeat(8_000)] })
    } finally {
      texts.mockRestore()
      searches.mockRestore()
    }
    expect(looked).toBeLessThan(10 * trailers.length)
  })

  it.each([
    ["GET / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n", "CodingUnknown"],
    ["GET / HTTP/1.2\r\nHost: a\r\n\r\n", "VersionUnknown"],
    ["CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n", "MethodRefused"],
    ["CONNECT / HTTP/1.1\r\nHost: a\r\n\r\n", "MethodRefused"],
    ["TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", "MethodRefused"],
    ["get / HTTP/1.1\r\nHost: a\r\n\r\n", "MethodUnknown"],
    [`GET /${"a".repeat(40_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, "RequestTargetTooLong"],
    [`GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(70_000)}\r\n\r\n`, "RequestHeadTooLarge"],
    [`GET / HTTP/1.1\r\nHost: a\r\n${"X: a\r\n".repeat(1_001)}\r\n`, "RequestHeadTooLarge"],
    ["POST / HTTP/1.1\r\nHost: a\r\nExpect: x\r\n\r\n", "ExpectationFailed"],
  ])("%.40j as %s", (text, tag) => {
    expect(tagOf(text)).toBe(tag)
  })

  it.each([
    ["gzip, chunked", "CodingUnknown"],
    ["gzip,chunked", "CodingUnknown"],
    ["deflate ,\t gzip, Chunked", "CodingUnknown"],
    ["identity, chunked", "CodingUnknown"],
    ["chunked, gzip", "RequestMalformed"],
    ["chunked, chunked", "RequestMalformed"],
    ["chunked, gzip, chunked", "RequestMalformed"],
    ["gzip, chunked,", "RequestMalformed"],
    [", chunked", "RequestMalformed"],
    ["gzip,\xa0chunked", "RequestMalformed"],
    ["gzip;q=1, chunked", "RequestMalformed"],
  ])("a Transfer-Encoding of %j as %s", (coding, tag) => {
    expect(tagOf(`POST / HTTP/1.1\r\n${H}Transfer-Encoding: ${coding}\r\n\r\n0\r\n\r\n`)).toBe(tag)
  })

  it("only by the first of its octets, not by its last: an unfinished head without a line end is bounded", () => {
    expect(tagOf(`GET /${"a".repeat(33_000)}`)).toBe("RequestTargetTooLong")
  })
})

describe("an authority", () => {
  it.each(["a", "a.b", "4096__misha.iterate.app:8443", "[::1]", "[::1]:80", "127.0.0.1:65535", "misha.iterate.app."])(
    "%s is one",
    (text) => expect(isAuthority(text)).toBe(true),
  )
  it.each([
    "",
    "a:",
    "a:0",
    "a:65536",
    "a:080",
    "a:+80",
    "a:abc",
    "u@a",
    "a/p",
    "a?",
    "a#",
    "a b",
    "a,b",
    "a\\b",
    "é",
    "[::1",
    "a:1:2",
  ])("%j is none", (text) => expect(isAuthority(text)).toBe(false))
})

describe("an answer", () => {
  it("has no body where the method or the status allows none, whatever it says", () => {
    expect(response("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD")).toMatchObject([{ framing: 0 }])
    expect(response("HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n")).toMatchObject([{ framing: 0 }])
    expect(response("HTTP/1.1 304 No\r\nTransfer-Encoding: chunked\r\n\r\n")).toMatchObject([{ framing: 0 }])
  })

  it("follows its interim ones", () => {
    const text = "HTTP/1.1 103 Early\r\nLink: a\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx"
    expect(types(response(text))).toEqual(["head", "head", "body", "end"])
  })

  it("without a length ends with its connection", () => {
    expect(types(response("HTTP/1.0 200 OK\r\n\r\nabc", "GET", true))).toEqual(["head", "body", "end"])
    expect(types(response("HTTP/1.0 200 OK\r\n\r\nabc", "GET", false))).toEqual(["head", "body"])
  })

  it.each([
    ["a short length", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"],
    ["a missing last chunk", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n"],
    ["a head that ends", "HTTP/1.1 200 OK\r\nX: "],
    ["nothing", ""],
  ])("that ends early is no answer: %s", (_, text) => {
    expect(types(response(text, "GET", true)).at(-1)).toBe("refusal")
  })

  it.each(["000", "099", "600", "999", "1000", "2xx", "20", " 200"])("with status %j is refused", (status) => {
    expect(types(response(`HTTP/1.1 ${status} OK\r\n\r\n`))).toEqual(["refusal"])
  })

  it.each([
    "Content-Length: 1\r\nTransfer-Encoding: chunked",
    "Content-Length: 5\r\nContent-Length: 2",
    "Content-Length: -2",
    "Content-Length: 5, 6",
    "Transfer-Encoding: gzip",
    "Transfer-Encoding: chunked, gzip",
    "X: a\rb",
    "X: a\0",
    "X : a",
  ])("with %j is refused", (fields) => {
    expect(types(response(`HTTP/1.1 200 OK\r\n${fields}\r\n\r\n`))).toEqual(["refusal"])
  })

  it("with a control octet in its reason is refused", () => {
    expect(types(response("HTTP/1.1 200 O\x01K\r\n\r\n"))).toEqual(["refusal"])
  })

  it("that begins like no answer is refused at once", () => {
    expect(types(response("SSH-2.0-x"))).toEqual(["refusal"])
  })
})

// ---- properties ---------------------------------------------------------------------------------------------------------

const token = fc.stringMatching(/^[A-Za-z][A-Za-z0-9-]{0,12}$/)
const value = fc.stringMatching(/^[!-~]{0,20}$/)
const field = fc.tuple(token, value).map(([name, text]) => `${name}: ${text}\r\n`)
const hex = (n: number) => n.toString(16)
const chunk = fc.string({ minLength: 1, maxLength: 40 }).map((text) => {
  const bytes = Buffer.from(text)
  return `${hex(bytes.length)}\r\n${bytes.toString("latin1")}\r\n`
})
const message = (first: fc.Arbitrary<string>) =>
  fc.oneof(
    fc.tuple(first, fc.array(field)).map(([line, fields]) => `${line}${fields.join("")}\r\n`),
    fc
      .tuple(first, fc.array(field), fc.string())
      .map(
        ([line, fields, text]) =>
          `${line}${fields.join("")}Content-Length: ${text.length}\r\n\r\n${text.replaceAll(/[^\0-\xff]/g, "?")}`,
      ),
    fc
      .tuple(first, fc.array(field), fc.array(chunk))
      .map(
        ([line, fields, chunks]) =>
          `${line}${fields.join("")}Transfer-Encoding: chunked\r\n\r\n${chunks.join("")}0\r\n\r\n`,
      ),
  )
const requests = fc
  .array(message(fc.constant(`POST /x HTTP/1.1\r\n${H}`)), { minLength: 1, maxLength: 4 })
  .map((all) => all.join(""))
const answers = fc
  .array(message(fc.constant("HTTP/1.1 200 OK\r\n")), { minLength: 1, maxLength: 4 })
  .map((all) => all.join(""))
/** A message with some octets changed, cut out or put in: most are refused, none may depend on how it was cut. */
const mutated = (texts: fc.Arbitrary<string>) =>
  fc
    .tuple(
      texts,
      fc.array(fc.tuple(fc.nat(), fc.constantFrom("\r", "\n", "\0", " ", ":", ",", "0", "\x80", "")), { maxLength: 4 }),
    )
    .map(([text, changes]) =>
      changes.reduce(
        (t, [at, c]) => t.slice(0, at % (t.length + 1)) + c + t.slice((at % (t.length + 1)) + (at % 2)),
        text,
      ),
    )
const cuts = fc.array(fc.nat(), { maxLength: 12 })
const split = (bytes: Buffer, at: readonly number[]): Buffer[] => {
  const edges = [0, ...at.map((n) => n % (bytes.length + 1)).toSorted((a, b) => a - b), bytes.length]
  return edges.slice(1).map((edge, i) => bytes.subarray(edges[i], edge))
}

describe("any split of the input gives the same events", () => {
  it.each([
    ["requests", requests, undefined],
    ["mutated requests", mutated(requests), undefined],
    ["answers", answers, "GET"],
    ["mutated answers", mutated(answers), "GET"],
  ] as const)("%s", (_, texts, method) => {
    fc.assert(
      fc.property(texts, cuts, (text, at) => {
        const bytes = latin1(text)
        expect(eventsOf(split(bytes, at), method, true)).toEqual(eventsOf([bytes], method, true))
      }),
      { numRuns: 1_500 },
    )
  })

  it("down to single octets", () => {
    fc.assert(
      fc.property(mutated(requests), (text) => {
        const bytes = latin1(text)
        expect(eventsOf([...bytes].map((c) => Buffer.from([c])))).toEqual(eventsOf([bytes]))
      }),
      { numRuns: 300 },
    )
  })
})

it("random octets are never thrown at, whatever they are", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 200 })), (pieces) => {
      eventsOf(pieces)
      eventsOf(pieces, "GET", true)
    }),
    { numRuns: 2_000 },
  )
})

it("reads no more requests than were sent: each head consumes octets that no other one does", () => {
  fc.assert(
    fc.property(mutated(requests), (text) => {
      const heads = types(request(text)).filter((type) => type === "head").length
      expect(heads).toBeLessThanOrEqual(text.split("HTTP/1.").length - 1)
    }),
    { numRuns: 1_500 },
  )
})
