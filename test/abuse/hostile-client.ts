/** What a hostile client sends: requests with a second one inside that only a lenient reader would find, and forged tickets. */
import { createHmac, generateKeyPairSync, sign } from "node:crypto"

/** One attempt to smuggle a request past whoever reads the first one. */
export interface SmugglingPayload {
  readonly name: string
  /** All that the client sends on its connection. */
  readonly text: string
  /** True where the inner request is one of the client's own by every rule, and asks for `/followed` instead of `/smuggled`. */
  readonly pipelined: boolean
}

/** Names the two requests of a payload. */
export interface PayloadTarget {
  readonly host: string
  readonly token: string
  /**
   * Who reads them skips a bare LF before a request line, as the parser of node:http does and the router's own does not: what follows a body that
   * ends before one is the client's next request. Default: false.
   */
  readonly skipsLineFeed?: boolean
}

/** Ways to write that a body comes in chunks, which every reader has to understand so. */
const chunked: readonly string[] = [
  "Transfer-Encoding: chunked",
  "transfer-encoding:chunked",
  "Transfer-Encoding:\tchunked",
  "Transfer-Encoding: chunked\t",
  "Transfer-Encoding: ChUnKeD",
  "Connection: transfer-encoding\r\nTransfer-Encoding: chunked",
  "Connection: content-length\r\nTransfer-Encoding: chunked",
  "Upgrade: websocket\r\nConnection: Upgrade\r\nTransfer-Encoding: chunked",
  "Upgrade: h2c\r\nConnection: Upgrade, HTTP2-Settings\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\nTransfer-Encoding: chunked",
  "Expect: 100-continue\r\nTransfer-Encoding: chunked",
  "X-HTTP-Method-Override: GET\r\nTransfer-Encoding: chunked",
]

/** Fields that are not about framing, though their names fold to one that is. */
const otherFields: readonly string[] = [
  "Transfer_Encoding: chunked",
  "Transfer.Encoding: chunked",
  "Transfer*Encoding: chunked",
  "Transfer-Encodinɡ: chunked",
  "TE: chunked",
  "Content-Encoding: chunked",
]

/** Codings that one reader takes for chunks and another one does not. */
const invalidCodings: readonly string[] = [
  "Transfer-Encoding : chunked",
  " Transfer-Encoding: chunked",
  "X: y\r\n Transfer-Encoding: chunked",
  "Transfer-Encoding:\r\n chunked",
  "Transfer-Encoding: \x0bchunked",
  "Transfer-Encoding: \x0cchunked",
  "Transfer-Encoding: chunked\x0b",
  "Transfer-Encoding: chunked\0",
  "Transfer-Encoding:\x00chunked",
  "Transfer-Encoding: \xa0chunked",
  "Transfer-Encoding: \x85chunked",
  "Transfer-Encoding\x00: chunked",
  "Transfer-Encoding\t: chunked",
  "Transfer Encoding: chunked",
  "Transfer-Encoding: chunke",
  "Transfer-Encoding: chunkedd",
  "Transfer-Encoding: xchunked",
  'Transfer-Encoding: "chunked"',
  "Transfer-Encoding: 'chunked'",
  "Transfer-Encoding: chunked;q=1",
  "Transfer-Encoding: chunked;",
  "Transfer-Encoding: chunked,",
  "Transfer-Encoding: ,chunked",
  "Transfer-Encoding: chunked, chunked",
  "Transfer-Encoding: chunked, identity",
  "Transfer-Encoding: identity, chunked",
  "Transfer-Encoding: identity",
  "Transfer-Encoding: gzip, chunked",
  "Transfer-Encoding: chunked, gzip",
  "Transfer-Encoding: none",
  "Transfer-Encoding:",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity",
  "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: x\r\n\tchunked",
  "X: y\nTransfer-Encoding: chunked",
  "X: y\rTransfer-Encoding: chunked",
  "X: y\r\r\nTransfer-Encoding: chunked",
  "Transfer-Encoding: chunked\nX: y",
  "Transfer-Encoding: chunked\rX: y",
  "Expect: 200-ok\r\nTransfer-Encoding: chunked",
]

/** How a length may be written so that two readers see two lengths. `N`: that of all that follows. */
const lengths: readonly string[] = [
  "",
  "Content-Length: N",
  "Content-Length: 0",
  "Content-Length: 4",
  "Content-Length: +N",
  "Content-Length: -1",
  "Content-Length: 0xN",
  "Content-Length: N\r\nContent-Length: 0",
  "Content-Length: 0\r\nContent-Length: N",
  "Content-Length: N, N",
  "Content-Length: 0, N",
  "Content-Length:\r\n N",
  "Content-Length : N",
  "Content-Length: N ",
  "Content-Length: N\x0b",
  "Content_Length: N",
  "Content-Length: 18446744073709551616",
  "Content-Length: N.0",
  "Content-Length: Ne0",
  "Content-Length:",
]

/** A valid end of chunks, with trailers that must not be mixed with the fields. */
const TRAILERS = "0\r\nContent-Length: 5\r\nHost: other\r\nX: y\r\n\r\nS"

/** How a chunk may be written so that two readers end it at two places; `S` is the inner request. */
const chunks: readonly string[] = [
  "0x5\r\nabcde\r\n0\r\n\r\nS",
  "+5\r\nabcde\r\n0\r\n\r\nS",
  "-1\r\nS",
  " 5\r\nabcde\r\n0\r\n\r\nS",
  "5 \r\nabcde\r\n0\r\n\r\nS",
  "5_\r\nabcde\r\n0\r\n\r\nS",
  "\r\n0\r\n\r\nS",
  "5\nabcde\r\n0\r\n\r\nS",
  "5\rabcde\r\n0\r\n\r\nS",
  "5\r\nabcde\n0\r\n\r\nS",
  "5\r\nabcde0\r\n\r\nS",
  "5\r\nabcdeXX0\r\n\r\nS",
  "5\r\nabcdef\r\n0\r\n\r\nS",
  "FFFFFFFFFFFFFFFFF\r\nS",
  "100000000\r\nS",
  "5;\nabcde\r\n0\r\n\r\nS",
  "5;a\nb\r\nabcde\r\n0\r\n\r\nS",
  '5;a="\r\nabcde\r\n0\r\n\r\nS',
  "5;a=b\rc\r\nabcde\r\n0\r\n\r\nS",
  "5;\0\r\nabcde\r\n0\r\n\r\nS",
  "0\r\nS",
  "0\n\nS",
  "0\r\n\nS",
  "0\r\r\n\r\nS",
  "0;\n\r\nS",
  "0\r\nX: y\n\nS",
  "0\r\nContent-Length: 5\r\nHost: other\nX: y\r\n\r\nS",
  "0\r\n X: y\r\n\nS",
  "00000000000000000000\r\n\nS",
  "0\r\n:\r\n\r\nS",
]

/** How the inner request may hide in a body. `S` is the inner request. */
const bodies: readonly string[] = ["0\r\n\r\nS", "5\r\nabcde\r\n0\r\n\r\nS", "S", "1\r\nZ\r\nQ\r\n\r\nS"]

const methods = ["POST", "GET", "HEAD"] as const

/** Invalid lengths: the outer request ends with its head, or with its last chunk. */
const NO_LENGTH: readonly string[] = ["", "Content_Length: N"]

/**
 * Several thousand of them. But for those that are `pipelined`, the outer request's framing, read strictly, covers the inner one or is
 * invalid: then the inner one is never a request.
 */
export const smugglingPayloads = ({
  host,
  token,
  skipsLineFeed = false,
}: PayloadTarget): readonly SmugglingPayload[] => {
  const inner = (path: string) => `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nX-Token: ${token}\r\n\r\n`
  const made: SmugglingPayload[] = []
  const add = (name: string, method: string, fields: string, body: string, pipelined: boolean): void => {
    const filled = body.replace("S", inner(pipelined ? "/followed" : "/smuggled"))
    const lines = fields.replaceAll(/(?<=:.*)N/g, String(filled.length))
    const text = `${method} / HTTP/1.1\r\nHost: ${host}\r\nX-Token: ${token}\r\n${lines}\r\n\r\n${filled}`
    made.push({ name: `${method}, ${JSON.stringify(name)}`, text, pipelined })
  }
  const codings = [...chunked, ...otherFields, ...invalidCodings]
  for (const method of methods) {
    for (const coding of codings) {
      for (const length of lengths) {
        for (const body of bodies) {
          const none = NO_LENGTH.includes(length)
          const framed = otherFields.includes(coding) ? none || length === "Content-Length: 0" : false
          const ends = body === "S" ? framed : none && chunked.includes(coding) && body.includes("0\r\n\r\n")
          const cut = otherFields.includes(coding) && length === "Content-Length: 4" && body === "0\r\n\r\nS"
          const pipelined = ends || (skipsLineFeed && cut)
          const fields = length === "" ? coding : `${length}\r\n${coding}`
          add(`${fields} ${body}`, method, fields, body, pipelined)
        }
      }
    }
    for (const chunk of chunks) {
      for (const variant of ["", "Expect: 100-continue\r\n", "Connection: close\r\n", "TE: trailers\r\n"]) {
        const fields = `${variant}Transfer-Encoding: chunked`
        add(`${fields} ${chunk}`, method, fields, chunk, chunk === TRAILERS)
      }
    }
  }
  return made
}

/** A text that is not a ticket. */
export interface ForgedTicket {
  readonly name: string
  /** The value of the ticket's field; several for as many lines. */
  readonly values: readonly string[]
}

const encode = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString("base64url")

const decode = (part: string): Readonly<Record<string, unknown>> =>
  JSON.parse(Buffer.from(part, "base64url").toString("utf8")) as Readonly<Record<string, unknown>>

/**
 * Everything that can be made of a ticket without its key, by a tenant who is root in its machine and reads the tickets that come there.
 * `stolen` is such a ticket, for another machine than the one that the forged ones are sent to: `machine`. `publicKey`: the one that
 * verifies tickets, which is no secret.
 */
export const forgedTickets = (stolen: string, machine: string, publicKey: Buffer): readonly ForgedTicket[] => {
  const [head = "", payload = "", signature = ""] = stolen.split(".")
  const header = decode(head)
  const claims = decode(payload)
  const aimed = { ...claims, aud: machine }
  const own = generateKeyPairSync("ed25519")
  const jwk = own.publicKey.export({ format: "jwk" })
  const raw = (h: unknown, p: unknown, s = signature): string => `${encode(h)}.${encode(p)}.${s}`
  const bySelf = (h: object, p: unknown): string => {
    const text = `${encode(h)}.${encode(p)}`
    return `${text}.${sign(null, Buffer.from(text), own.privateKey).toString("base64url")}`
  }
  const byHmac = (secret: Buffer | string, p: unknown): string => {
    const text = `${encode({ ...header, alg: "HS256" })}.${encode(p)}`
    return `${text}.${createHmac("sha256", secret).update(text).digest("base64url")}`
  }
  const one = (name: string, ...values: readonly string[]): ForgedTicket => ({ name, values })
  return [
    one("none"),
    one("empty", ""),
    one("a space", " "),
    one("one part", head),
    one("two parts", `${head}.${payload}`),
    one("four parts", `${stolen}.${signature}`),
    one("without a signature", `${head}.${payload}.`),
    one("as it was stolen, for another machine", stolen),
    one("two of them", stolen, stolen),
    one("two in one line", `${stolen}, ${stolen}`),
    one("with a scheme", `Bearer ${stolen}`),
    one("the machine changed", raw(header, aimed)),
    one("both machines", raw(header, { ...claims, aud: [claims["aud"], machine] })),
    one("no machine", raw(header, { ...claims, aud: undefined })),
    one("every machine", raw(header, { ...claims, aud: "*" })),
    one("a pattern of machines", raw(header, { ...claims, aud: "mach_*" })),
    one("an object for a machine", raw(header, { ...claims, aud: { [machine]: true } })),
    one("a longer life", raw(header, { ...aimed, exp: 4_102_444_800 })),
    one("no end", raw(header, { ...aimed, exp: undefined })),
    one("an end that is text", raw(header, { ...aimed, exp: "4102444800" })),
    one("alg none", raw({ ...header, alg: "none" }, aimed, "")),
    one("alg None", raw({ ...header, alg: "None" }, aimed, "")),
    one("alg NONE, with a signature", raw({ ...header, alg: "NONE" }, aimed)),
    one("alg empty", raw({ ...header, alg: "" }, aimed, "")),
    one("no alg", raw({ ...header, alg: undefined }, aimed)),
    one("two algs", raw({ ...header, alg: ["EdDSA", "none"] }, aimed)),
    one("HS256 by the public key", byHmac(publicKey, aimed)),
    one("HS256 by the public key as text", byHmac(publicKey.toString("base64url"), aimed)),
    one("HS256 by nothing", byHmac("", aimed)),
    one("HS256 by the key's name", byHmac(String(header["kid"]), aimed)),
    one("a key of one's own", bySelf(header, aimed)),
    one("a key of one's own, brought along", bySelf({ ...header, jwk }, aimed)),
    one("a key of one's own, by URL", bySelf({ ...header, jku: "http://127.0.0.1:9/keys" }, aimed)),
    one("a certificate of one's own", bySelf({ ...header, x5c: [encode(jwk)] }, aimed)),
    one("a key of another name", bySelf({ ...header, kid: "other" }, aimed)),
    one("no name of a key", bySelf({ ...header, kid: undefined }, aimed)),
    one("a path for a key's name", bySelf({ ...header, kid: "../../dev/null" }, aimed)),
    one("a query for a key's name", bySelf({ ...header, kid: "x' UNION SELECT '" }, aimed)),
    one("another type", bySelf({ ...header, typ: "JWT" }, aimed)),
    one("critical extensions", bySelf({ ...header, crit: ["exp"] }, aimed)),
    one("b64 false", bySelf({ ...header, b64: false, crit: ["b64"] }, aimed)),
    one("a signature of zeros", raw(header, aimed, Buffer.alloc(64).toString("base64url"))),
    one("a signature that is too long", raw(header, aimed, Buffer.alloc(65, 1).toString("base64url"))),
    one("one bit of the signature", `${head}.${payload}.${flipped(signature)}`),
    one("base64 with padding", `${stolen}==`),
    one("base64 of the other alphabet", raw(header, aimed, signature.replaceAll("-", "+").replaceAll("_", "/"))),
    one("white space inside", `${head}. ${payload}.${signature}`),
    one("a header that is a list", `${encode([header])}.${encode(aimed)}.${signature}`),
    one("claims that are a list", `${head}.${encode([aimed])}.${signature}`),
    one("claims that are no JSON", `${head}.${Buffer.from("{").toString("base64url")}.${signature}`),
    one(
      "the machine twice",
      `${head}.${Buffer.from(`{"aud":"x","aud":"${machine}"}`).toString("base64url")}.${signature}`,
    ),
    one("100 KiB", "a".repeat(30_000)),
    one("control characters", `${head}.${payload}.\x01`),
  ]
}

const flipped = (signature: string): string => {
  const bytes = Buffer.from(signature, "base64url")
  bytes[10]! ^= 1
  return bytes.toString("base64url")
}
