/** W3C Trace Context, level 1: what is read, and what is not. */
import { describe, expect, it } from "vitest"
import { readTraceContext, withTraceContext } from "../src/trace-context.ts"

const traceId = "0af7651916cd43dd8448eb211c80319c"
const spanId = "b7ad6b7169203331"
const good = `00-${traceId}-${spanId}-01`
const read = (traceparent: string, ...states: string[]) =>
  readTraceContext(["traceparent", traceparent, ...states.flatMap((state) => ["tracestate", state])])

describe("traceparent", () => {
  it.each([
    ["as of version 00", good, true],
    ["not sampled", `00-${traceId}-${spanId}-00`, false],
    ["with other flags, which say nothing here", `00-${traceId}-${spanId}-03`, true],
    ["with a flag of nobody's", `00-${traceId}-${spanId}-fe`, false],
    ["of a later version", `01-${traceId}-${spanId}-01`, true],
    ["of a later version, with more behind it", `cc-${traceId}-${spanId}-01-what-the-future-brings`, true],
  ])("is read %s", (_, traceparent, sampled) => {
    expect(read(traceparent)).toEqual({ traceId, spanId, sampled, state: "" })
  })

  it.each([
    ["empty", ""],
    ["of version ff", `ff-${traceId}-${spanId}-01`],
    ["of version 00 with more behind it", `${good}-x`],
    ["of a later version with more behind it and no hyphen", `cc-${traceId}-${spanId}-01x`],
    ["in capitals", good.toUpperCase()],
    ["without flags", `00-${traceId}-${spanId}`],
    ["with a trace of zeros", `00-${"0".repeat(32)}-${spanId}-01`],
    ["with a parent of zeros", `00-${traceId}-${"0".repeat(16)}-01`],
    ["too short", `00-${traceId.slice(1)}-${spanId}-01`],
    ["with spaces", ` ${good}`],
    ["twice in one line", `${good},${good}`],
    ["with what is no digit", good.replace("f", "g")],
  ])("is nothing %s", (_, traceparent) => {
    expect(read(traceparent, "a=1")).toBeUndefined()
  })

  it("is nothing in two lines, because each reader may take another one", () => {
    expect(readTraceContext(["traceparent", good, "Traceparent", good])).toBeUndefined()
    expect(readTraceContext(["accept", "*/*"])).toBeUndefined()
  })
})

describe("tracestate", () => {
  const state = (...lines: string[]) => read(good, ...lines)?.state
  const many = (count: number, length = 1) =>
    Array.from({ length: count }, (_, at) => `k${at}=${"v".repeat(length)}`).join(",")

  it.each([
    ["one member", ["congo=t61rcWkgMzE"], "congo=t61rcWkgMzE"],
    ["several lines in their order", ["a=1", "b=2,c=3"], "a=1,b=2,c=3"],
    ["without the space between members", ["a=1 , b=2\t,c=3"], "a=1,b=2,c=3"],
    ["without empty members", ["a=1,,b=2,"], "a=1,b=2"],
    ["names of tenants", ["fw529a3039@dt=FfD4,0a-b/c*_@x=1"], "fw529a3039@dt=FfD4,0a-b/c*_@x=1"],
    ["values with spaces within", ["a=1 2"], "a=1 2"],
    ["32 members", [many(32)], many(32)],
  ])("is read: %s", (_, lines, expected) => {
    expect(state(...lines)).toBe(expected)
  })

  it.each([
    ["a name in capitals", ["A=1"]],
    ["no value", ["a="]],
    ["no name", ["=1"]],
    ["no sign", ["a"]],
    ["a second sign", ["a=1=2"]],
    ["a name twice", ["a=1,b=2", "a=3"]],
    ["33 members", [many(33)]],
    ["10 000 members", [many(10_000)]],
    ["a character above ASCII", ["a=\u00fc"]],
    ["a control character", ["a=\u0007"]],
    ["a value of 257 characters", [`a=${"v".repeat(257)}`]],
    ["60 000 spaces within", [`a=${" ".repeat(60_000)}x`]],
    ["a tenant of a system of 15 characters", ["a@bcdefghijklmnop=1"]],
  ])("is dropped whole: %s", (_, lines) => {
    expect(state("ok=1", ...lines)).toBe("")
  })

  it("of more than 512 characters loses its long members, then its last ones", () => {
    expect(state(`long=${"v".repeat(200)}`, many(30, 10))).toBe(many(30, 10))
    const kept = state(many(32, 20))!
    expect(kept.length).toBeLessThanOrEqual(512)
    expect(many(32, 20).startsWith(`${kept},`)).toBe(true)
    expect(kept.length).toBeGreaterThan(480)
  })
})

describe("the fields for the next hop", () => {
  const context = { traceId, spanId, sampled: true, state: "a=1" }

  it("have this context and no other, in whatever case and number it came", () => {
    const list = ["Host", "x", "TraceParent", "1", "TRACESTATE", "b=1", "accept", "*/*", "tracestate", "c=1"]
    expect(withTraceContext(list, context, "x-fwd-")).toEqual([
      "Host",
      "x",
      "accept",
      "*/*",
      "traceparent",
      good,
      "tracestate",
      "a=1",
    ])
    expect(withTraceContext(list, { ...context, state: "", sampled: false }, "x-fwd-")).toEqual([
      "Host",
      "x",
      "accept",
      "*/*",
      "traceparent",
      good.replace(/01$/, "00"),
    ])
  })

  it("have it where a platform on the way leaves it alone, if the client's was put there", () => {
    expect(withTraceContext(["x-fwd-traceparent", "1", "x-fwd-accept", "2"], context, "x-fwd-")).toEqual([
      "x-fwd-accept",
      "2",
      "x-fwd-traceparent",
      good,
      "x-fwd-tracestate",
      "a=1",
    ])
  })
})
