import { defaultHeaderNames } from "@project-ingress/forward"
import { afterEach, describe, expect, it } from "vitest"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"
import type { Machine } from "../src/contract/machine-provider.ts"
import { url } from "../src/adapters/url.ts"
import type { UrlOptions } from "../src/adapters/url.ts"
import { fakeMachine } from "./fakes/daytona-machine.ts"
import { answer, listen } from "./fakes/http.ts"

const signal = new AbortController().signal
const machineOf = (metadata: Machine["metadata"]): Machine => ({
  id: "mach_1",
  type: "url",
  externalId: "office",
  metadata,
})
const resolve = (metadata: Machine["metadata"], options?: UrlOptions) =>
  url(options).resolve(machineOf(metadata), { port: 3000, signal })

describe("a fixed origin", () => {
  it("is the endpoint, with its epoch", async () => {
    expect(await resolve({ origin: "https://office.example.com" })).toEqual({
      origin: "https://office.example.com",
      headers: {},
      addresses: { allowCidrs: [] },
      epoch: "",
      ttlMs: 60_000,
    })
    const allowCidrs = ["::1/128"]
    expect(await resolve({ origin: "http://[::1]:8080", epoch: "2" }, { allowCidrs })).toMatchObject({
      origin: "http://[::1]:8080",
      epoch: "2",
    })
  })

  it.each([
    [{}, "origin"],
    [{ origin: 1 }, "origin"],
    [{ origin: "office.example.com" }, "origin"],
    [{ origin: "https://" }, "origin"],
    [{ origin: "https://user:canary@office.example.com" }, "origin"],
    [{ origin: "https://office.example.com/path" }, "origin"],
    [{ origin: "https://office.example.com?key=canary" }, "origin"],
    [{ origin: "https://office.example.com\\@evil.example" }, "origin"],
    [{ origin: "https://office.example.com:99999" }, "origin"],
    [{ origin: "ftp://office.example.com" }, "origin"],
    [{ origin: "https://office.example.com", epoch: 1 }, "epoch"],
  ])("%j is refused by its %s", async (metadata, field) => {
    const failure = await resolve(metadata).catch((error: unknown) => error)
    expect(failure).toMatchObject({ _tag: "MachineRecordInvalid", field })
    expect(String(failure)).not.toContain("canary")
  })
})

describe("headers for a front server", () => {
  const closing: (() => Promise<void>)[] = []
  afterEach(async () => {
    await Promise.all(closing.splice(0).map((close) => close()))
  })

  it.each([{ "x y": "1" }, { "x-key": "canary\r\nx: y" }, { "x-key": "" }, { "x-key": " canary" }, { "x-key": "é" }])(
    "are refused when they are none: %j",
    (headers) => {
      expect(() => url({ headers })).toThrow(TypeError)
      expect(() => url({ headers })).not.toThrow(/canary/)
    },
  )

  it.each([
    [new Headers({ authorization: "canary" }), "url: headers must be an object of names and values, got an object"],
    [new Map([["authorization", "canary"]]), "url: headers must be an object of names and values, got an object"],
    ["authorization: canary", "url: headers must be an object of names and values, got a string"],
    [{ "x-key": 7 }, "headers: the value of x-key must be visible ASCII"],
  ])("that would be dropped are refused: %j", (headers, message) => {
    expect(() => url({ headers: headers as never })).toThrow(new TypeError(message))
  })

  it("open it, and the app gets its client's own of the same name", async () => {
    const machine = await fakeMachine()
    // Basic authentication, as a front server does it: it takes the field away.
    const front = await listen(async (request, response) => {
      if (request.headers.authorization !== "Basic front") return answer(response, 401)
      const { authorization: _, ...headers } = request.headers
      const back = await fetch(`http://127.0.0.1:${machine.proxyPort}${request.url}`, {
        headers: headers as Record<string, string>,
      })
      const stamp = back.headers.get(defaultHeaderNames.stamp)
      return answer(
        response,
        back.status,
        await back.text(),
        stamp === null ? {} : { [defaultHeaderNames.stamp]: stamp },
      )
    })
    closing.push(machine.close, front.close)
    const options = { port: machine.appPort, signingKey: machine.signing }
    const request = (): Request => new Request("http://app.test/", { headers: { authorization: "Bearer app" } })

    const opened = machineFetcher(
      url({ headers: { Authorization: "Basic front" }, allowCidrs: ["127.0.0.0/8"] }),
      machineOf({ origin: front.origin }),
      options,
    )
    const echo = await (await opened(request())).json()
    expect(echo.headers.join("\n")).toContain("authorization\nBearer app")
    expect(echo.headers.join("\n")).not.toContain("Basic front")

    const closed = machineFetcher(url({ allowCidrs: ["127.0.0.0/8"] }), machineOf({ origin: front.origin }), options)
    await expect(closed(request())).rejects.toMatchObject({ _tag: "ProviderUnavailable" })
  })
})
