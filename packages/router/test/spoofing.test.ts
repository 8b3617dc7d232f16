import { describe, expect, it } from "vitest"
import { defaultHeaderNames, ticketVerifier } from "@project-ingress/forward"
import * as fc from "fast-check"
import { appOrigin } from "../src/hop/app-origin.ts"
import { outboundHeaders } from "../src/hop/outbound-headers.ts"
import { fake, keys, machine, names, setup, stamped, tunnelled, values } from "./fakes.ts"

const url = "http://misha.iterate.app/"
const ask = async (headers: Record<string, string>, options: Parameters<typeof setup>[0] = {}) => {
  const made = setup(options)
  made.routes.attach("p:misha", { machine: machine("mach_1"), appOrigin: "public" })
  const response = await made.router.fetch(new Request(url, { headers }))
  return { response: response!, headers: made.sent[0]!.headers }
}

describe("a client cannot speak in our name", () => {
  it.each([
    "x-iterate-proxy-target-host",
    "x-iterate-proxy-ticket",
    "x-iterate-proxy-via",
    "x-iterate-proxy-stamp",
    "x-iterate-proxy-fwd-host",
    "x-iterate-proxy-fwd-authorization",
    "x-iterate-user",
    "X_Iterate_Proxy_Target_Host",
    "X.Iterate.Proxy.Ticket",
    "x-iterate_user",
  ])("by %s", async (name) => {
    const { headers } = await ask({ [name]: "spoofed" })
    expect(headers).not.toContain("spoofed")
  })

  it("nor remove our headers by naming them in Connection", async () => {
    const { headers } = await ask({
      connection: "x-iterate-proxy-target-host, x-iterate-proxy-ticket, x-forwarded-for, x-forwarded-host, via, close",
    })
    expect(values(headers, "x-iterate-proxy-target-host")).toEqual(["3000__misha.iterate.app"])
    expect(values(headers, "x-iterate-proxy-ticket")).toHaveLength(1)
    expect(tunnelled(headers, "x-forwarded-host")).toEqual(["misha.iterate.app"])
    expect(values(headers, "via")).toEqual(["1.1 ingress-router"])
  })

  it.each([
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "forwarded",
    "x-real-ip",
    "true-client-ip",
    "cf-connecting-ip",
    "fastly-client-ip",
    "x-original-url",
    "x-host",
    "x-http-host-override",
    "X_Forwarded_For",
    "X*Real*Ip",
    "CF~Connecting~IP",
    "X~Iterate~Proxy~Ticket",
    "proxy",
  ])("nor say who it is or what it asked for by %s", async (name) => {
    const { headers } = await ask({ [name]: "6.6.6.6" })
    expect(headers.join("\n")).not.toContain("6.6.6.6")
  })

  it("whatever it sends: our fields arrive once, with our values", async () => {
    const field = fc.tuple(
      fc.constantFrom(
        "X-Iterate-Proxy-Ticket",
        "x-iterate-proxy-target-host",
        "x-iterate-proxy-request-id",
        "x-forwarded-for",
        "Connection",
        "via",
        "x-iterate-x",
        "cookie",
      ),
      fc.constantFrom("spoofed", "x-iterate-proxy-ticket", "close, via", "a=b"),
    )
    const { router, sent } = setup({ clientAddress: () => "192.0.2.1" })
    await fc.assert(
      fc.asyncProperty(fc.array(field, { maxLength: 12 }), async (fields) => {
        await router.fetch(new Request(url, { headers: fields }))
        const { headers } = sent.pop()!
        expect(values(headers, "x-iterate-proxy-target-host")).toEqual(["3000__misha.iterate.app"])
        expect(values(headers, "x-iterate-proxy-ticket")).toHaveLength(1)
        expect(values(headers, "x-iterate-proxy-request-id")).toEqual([
          expect.stringMatching(/^[a-z0-9]{10}-[a-z0-9]+$/),
        ])
        expect(values(headers, "x-forwarded-for")).toEqual([])
        expect(tunnelled(headers, "x-forwarded-for")).toEqual(["192.0.2.1"])
        expect(names(headers).filter((name) => name.startsWith("x-iterate-"))).toEqual([
          "x-iterate-proxy-target-host",
          "x-iterate-proxy-ticket",
          "x-iterate-proxy-request-id",
          "x-iterate-proxy-fwd-host",
          "x-iterate-proxy-fwd-x-iterate-proxy-public-origin",
          "x-iterate-proxy-fwd-x-forwarded-for",
        ])
      }),
      { numRuns: 300 },
    )
  })
})

describe("an app cannot speak in our name", () => {
  it("by any x-iterate-* of its answer; the stamp is ours to read", async () => {
    const headers = {
      "x-iterate-wake": "1",
      "x-iterate-proxy-via": "v",
      "x-iterate-proxy-target-host": "t",
      "x-app": "y",
    }
    const { response } = await ask({}, { answer: () => stamped("ok", { headers }) })
    expect([...response.headers.keys()].filter((name) => name.startsWith("x-iterate"))).toEqual([])
    expect(response.headers.get("x-app")).toBe("y")
  })

  it("but its machine's proxy can: the code of its own failures and the request's id reach the client", async () => {
    const headers = { "x-iterate-proxy-error": "PORT_CLOSED", "x-iterate-proxy-request-id": "abc-1" }
    const { response } = await ask({}, { answer: () => stamped("{}", { status: 502, headers }) })
    expect(response.status).toBe(502)
    expect(Object.fromEntries(response.headers)).toMatchObject(headers)
  })

  it("nor command a server in front of us", async () => {
    const headers = {
      "x-accel-redirect": "/etc/passwd",
      "x-accel-limit-rate": "1",
      "x-lighttpd-send-file": "/etc/passwd",
      "x-litespeed-location": "/secret",
      "x-envoy-immediate-health-check-fail": "true",
      "fly-replay": "app=other",
      "alt-svc": "h3=':443'",
      "proxy-status": "ingress-router; error=connection_refused",
    }
    const { response } = await ask({}, { answer: () => stamped("ok", { headers }) })
    for (const name of Object.keys(headers)) expect(response.headers.has(name)).toBe(false)
  })
})

describe("what a machine is told", () => {
  it("is who asked for what, and a ticket for this machine only", async () => {
    const { headers } = await ask(
      { cookie: "session=1", authorization: "Basic x" },
      { clientAddress: () => "192.0.2.1" },
    )
    expect(tunnelled(headers, "x-forwarded-for")).toEqual(["192.0.2.1"])
    expect(tunnelled(headers, "x-forwarded-proto")).toEqual(["http"])
    expect(tunnelled(headers, "forwarded")).toEqual(["for=192.0.2.1;host=misha.iterate.app;proto=http"])
    expect(values(headers, "cookie")).toEqual(["session=1"])
    expect(values(headers, "authorization")).toEqual(["Basic x"])
    const ticket = values(headers, "x-iterate-proxy-ticket")[0]
    expect(await ticketVerifier(() => [keys.verification], "mach_1")(ticket)).toMatchObject({
      port: 3000,
      name: "misha.iterate.app",
    })
    expect(await ticketVerifier(() => [keys.verification], "mach_2")(ticket)).toEqual({
      refusal: "wrong-machine",
    })
  })

  it.each([
    ["::ffff:192.0.2.1", "192.0.2.1", "for=192.0.2.1;"],
    ["2001:db8::1", "2001:db8::1", 'for="[2001:db8::1]";'],
    ["fe80::1%eth0", "fe80::1", 'for="[fe80::1]";'],
    ["", undefined, ""],
    ["unknown", undefined, ""],
    ["1.2.3.4, 5.6.7.8", undefined, ""],
    ["1.2.3.4\r\nx: y", undefined, ""],
  ])("names the peer %j or nobody", async (address, expected, node) => {
    const { headers } = await ask({}, { clientAddress: () => address })
    expect(tunnelled(headers, "x-forwarded-for")).toEqual(expected === undefined ? [] : [expected])
    expect(tunnelled(headers, "forwarded")).toEqual([`${node}host=misha.iterate.app;proto=http`])
  })

  it("comes with the endpoint's headers, which win over the client's", async () => {
    const providers = [
      fake({ endpoint: { headers: { authorization: "Bearer provider", "fly-force-instance-id": "i" } } }),
    ]
    const { headers, response } = await ask(
      { authorization: "Bearer client", "fly-force-instance-id": "mine" },
      { providers },
    )
    expect(values(headers, "authorization")).toEqual(["Bearer provider"])
    expect(values(headers, "fly-force-instance-id")).toEqual(["i"])
    expect(JSON.stringify([...response.headers])).not.toContain("provider")
  })

  it("passes what the platform would eat through the tunnel", async () => {
    const capabilities = {
      runtimes: ["node"],
      webSocket: true,
      wake: "none",
      ports: "any",
      interceptedHeaders: ["authorization"],
    } as const
    const providers = [fake({ capabilities, endpoint: { headers: { authorization: "Bearer provider" } } })]
    const { headers } = await ask({ authorization: "Bearer client" }, { providers })
    expect(values(headers, "authorization")).toEqual(["Bearer provider"])
    expect(values(headers, "x-iterate-proxy-fwd-authorization")).toEqual(["Bearer client"])
  })

  it.each([
    ["localhost", ["localhost:3000"]],
    ["public", ["misha.iterate.app:8787"]],
    [{ host: "app.internal" }, ["app.internal"]],
    [undefined, ["localhost:3000"]],
  ] as const)("sends the Host that the record's appOrigin says: %j", async (appOrigin, expected) => {
    const { router, routes, sent } = setup()
    routes.attach("p:misha", { machine: machine("mach_1"), ...(appOrigin === undefined ? {} : { appOrigin }) })
    await router.fetch(new Request("http://misha.iterate.app:8787/"))
    expect(values(sent[0]!.headers, "x-iterate-proxy-fwd-host")).toEqual(expected)
  })

  it.each(["evil\r\nx-injected: 1", "nul\0", "é"])("holds no control octet of a record: %j", async (name) => {
    const { router, routes, sent } = setup()
    routes.attach("p:misha", { machine: machine("mach_1"), appOrigin: { host: name } })
    expect((await router.fetch(new Request(url)))?.status).toBe(500)
    expect(sent).toEqual([])
  })

  it("leaves the request that arrived as it was", () => {
    const inbound = Object.freeze(["Connection", "x-hop", "x-hop", "1", "x-keep", "2"])
    const out = outboundHeaders(
      {
        method: "GET",
        host: "misha.iterate.app",
        path: "/",
        headers: inbound,
        scheme: "https",
        upgrade: false,
        signal: new AbortController().signal,
      },
      {
        headerNames: defaultHeaderNames,
        target: "3000__misha.iterate.app",
        ticket: "t",
        endpoint: { origin: "http://m", epoch: "", ttlMs: 0 },
        capabilities: { interceptedHeaders: [] },
        app: appOrigin({
          settings: {},
          port: 3000,
          endpoint: { origin: "http://m" },
          scheme: "https",
          host: "misha.iterate.app",
        }),
        origins: { own: "https://misha.iterate.app", ports: new Map() },
        edit: (list) => list,
      },
    )
    expect(names(out)).not.toContain("x-hop")
    expect(names(out)).toContain("x-keep")
    expect(inbound).toHaveLength(6)
  })
})
