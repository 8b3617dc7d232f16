/** One kind of request that every peer is loaded with. */
export interface Scenario {
  readonly name: string
  readonly title: string
  readonly path: string
  /** Octets of the answer's body, by which a first request proves that a peer works. */
  readonly answer: number
  /** Octets of a posted body. */
  readonly post?: number
  /** Octets of the request's header section in all, reached by what a browser sends and cookies. */
  readonly headers?: number
}

export const scenarios: readonly Scenario[] = [
  { name: "hello", title: "14 B answers", path: "/14", answer: 14 },
  { name: "64k", title: "64 KiB answers", path: "/64k", answer: 65_536 },
  { name: "1m", title: "1 MiB answers", path: "/1m", answer: 1_048_576 },
  { name: "post16k", title: "16 KiB posts", path: "/sink", answer: 2, post: 16_384 },
  { name: "headers1000", title: "1 000 header octets, 14 B answers", path: "/14", answer: 14, headers: 1_000 },
  { name: "headers8k", title: "8 KiB of headers, 14 B answers", path: "/14", answer: 14, headers: 8_192 },
]

/** Besides {@link scenarios}: those that are no HTTP load. */
export const otherScenarios = ["websocket", "idle-websockets", "chain", "parse"] as const

export type Fields = readonly (readonly [name: string, value: string])[]

/** Adds what a browser would send until the header section has `octets`; `given` and the two fields of wrk count. */
export const fill = (given: Fields, octets: number): Fields => {
  const fields = [...given]
  // wrk's own: Host with a port of five digits.
  let left = octets - "Host: 127.0.0.1:55555\r\n".length - given.reduce((sum, field) => sum + size(field), 0)
  const add = (field: readonly [string, string]): void => {
    if (size(field) + 32 > left) return
    fields.push(field)
    left -= size(field)
  }
  for (const field of browser) add(field)
  const more = Math.max(0, Math.floor((left - 1_024) / 190))
  for (let n = 1; n <= more; n++) add([`X-Application-State-${n}`, "s".repeat(160)])
  const cookie = "Cookie: session=\r\n".length
  if (left < cookie) throw new RangeError(`a header section of ${octets} octets is too small for a ticket`)
  fields.push(["Cookie", `session=${"c".repeat(left - cookie)}`])
  return fields
}

const size = ([name, value]: readonly [string, string]): number => name.length + value.length + 4

const browser: Fields = [
  ["Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"],
  ["User-Agent", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"],
  ["Accept-Language", "en-GB,en;q=0.7,de;q=0.3"],
  ["Accept-Encoding", "gzip, deflate, br, zstd"],
  ["Referer", "https://4096__misha.iterate.app/dashboard"],
  ["Sec-Fetch-Dest", "document"],
  ["Sec-Fetch-Mode", "navigate"],
  ["Sec-Fetch-Site", "same-origin"],
]
