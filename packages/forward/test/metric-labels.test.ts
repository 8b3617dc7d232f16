import { describe, expect, it } from "vitest"
import { closedLabel, methodLabel, statusLabel } from "../src/metric-labels.ts"

describe("labels of metrics", () => {
  it("are a closed set, whatever a client or an app sends", () => {
    expect(["GET", "get", "PROPFIND", "constructor", ""].map(methodLabel)).toEqual([
      "GET",
      "other",
      "other",
      "other",
      "other",
    ])
    expect([100, 200, 299, 404, 599, 0, 99, 600, Number.NaN].map(statusLabel)).toEqual([
      "1xx",
      "2xx",
      "2xx",
      "4xx",
      "5xx",
      "none",
      "none",
      "none",
      "none",
    ])
    expect(["PORT_CLOSED", "port_closed", "constructor", undefined].map(closedLabel(["PORT_CLOSED"]))).toEqual([
      "PORT_CLOSED",
      "other",
      "other",
      "other",
    ])
  })
})
