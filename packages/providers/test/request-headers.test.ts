import { defaultHeaderNames as names } from "@project-ingress/forward"
import type { HeaderList } from "@project-ingress/forward"
import { describe, expect, it } from "vitest"
import { machineRequestHeaders } from "../src/transport/request-headers.ts"
import type { MachineHop } from "../src/transport/request-headers.ts"

const hop: MachineHop = {
  headerNames: names,
  pseudonym: "test",
  endpoint: { origin: "http://machine", epoch: "1", ttlMs: 0, headers: { authorization: "edge" } },
  capabilities: { interceptedHeaders: ["authorization"] },
  target: "3000__app.example",
  ticket: "ours",
  host: "public.example",
  add: ["X-Forwarded-Host", "public.example"],
}
const inbound = ["Host", "evil", "Authorization", "Basic x", names.ticket, "forged", "X-App", "1"]

describe.each(["a machine proxy", "an app's own address"])("an edit of a request to %s", (what) => {
  const endpoint = what === "a machine proxy" ? hop.endpoint : { ...hop.endpoint, machineProxy: false as const }

  it("sees the client's fields, and none of ours", () => {
    const seen: HeaderList[] = []
    machineRequestHeaders(inbound, { ...hop, endpoint, edit: (fields) => (seen.push(fields), fields) })
    expect(seen).toEqual([["Authorization", "Basic x", "X-App", "1"]])
  })

  it("takes none of ours away, and gives no other", () => {
    const out = machineRequestHeaders(inbound, {
      ...hop,
      endpoint,
      edit: () => [names.ticket, "forged", "host", "evil", "x-forwarded-host", "evil", "Authorization", "Bearer mine"],
    })
    expect(out).not.toContain("forged")
    expect(out).not.toContain("evil")
    expect(out).toEqual(
      expect.arrayContaining(
        endpoint === hop.endpoint
          ? ["ours", "3000__app.example", `${names.tunnel}authorization`, "Bearer mine", "authorization", "edge"]
          : ["Host", "public.example", "X-Forwarded-Host", "authorization", "edge"],
      ),
    )
  })
})

it("tunnels what the edge would remove, one line of each name, whatever its value", () => {
  const capabilities = { interceptedHeaders: ["authorization", "flyio-debug", "cookie"] }
  const lines = ["Cookie", "a=1", "Authorization", `${names.tunnel}flyio-debug`, "Flyio-Debug", "on", "Cookie", "b=2"]
  const out = machineRequestHeaders(lines, { ...hop, capabilities })
  const fields = out.flatMap((name, i) => (i % 2 === 0 ? [[name, out[i + 1]]] : []))
  expect(fields).toEqual(
    expect.arrayContaining([
      [`${names.tunnel}authorization`, `${names.tunnel}flyio-debug`],
      [`${names.tunnel}flyio-debug`, "on"],
      [`${names.tunnel}cookie`, "a=1; b=2"],
      ["authorization", "edge"],
    ]),
  )
})
