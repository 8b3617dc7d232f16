import { describe, expect, it } from "vitest"
import { portGate } from "../src/ports.ts"
import type { PortRange } from "../src/ports.ts"

const open = (gate: (port: number) => boolean, ...ports: number[]) => ports.map(gate)

describe("the ports", () => {
  it("are all open but ssh and smtp by default", () => {
    expect(open(portGate({}), 1, 22, 25, 80, 3000, 65535)).toEqual([true, false, false, true, true, true])
  })
  it("are the allowed ones when there is a list", () => {
    expect(open(portGate({ allow: [3000, [4000, 4002]] }), 2999, 3000, 3999, 4000, 4002, 4003)).toEqual([
      false,
      true,
      false,
      true,
      true,
      false,
    ])
  })
  it("are closed by deny whatever allow says", () => {
    expect(open(portGate({ allow: [[1, 65535]], deny: [[6000, 6063]] }), 22, 5999, 6000, 6063)).toEqual([
      true,
      true,
      false,
      false,
    ])
  })
  it("are all closed by an empty allow list, all open by an empty deny list", () => {
    expect(open(portGate({ allow: [] }), 1, 3000)).toEqual([false, false])
    expect(open(portGate({ deny: [] }), 22, 25)).toEqual([true, true])
  })
  it("never include what is no port", () => {
    expect(open(portGate({ deny: [] }), 0, 65536, -1, 1.5, Number.NaN)).toEqual([false, false, false, false, false])
  })
  it.each<[PortRange]>([[0], [65536], [1.5], [Number.NaN], [[5, 4]], [[0, 5]], [[1, 70000]]])(
    "refuse the range %j at creation",
    (range) => {
      expect(() => portGate({ allow: [range] })).toThrow(/ports\.allow.*1 to 65535/)
      expect(() => portGate({ deny: [range] })).toThrow(/ports\.deny.*1 to 65535/)
    },
  )
})
