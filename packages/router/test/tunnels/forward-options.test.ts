import { describe, expect, it } from "vitest"
import { tmpdir } from "node:os"
import { authoritiesOf, textOf } from "../../src/commands/arguments.ts"
import { credentialHeaders, listenOf, portUrl } from "../../src/commands/forward/forward-options.ts"

const none = { tokenEnv: undefined, tokenFile: undefined, cookieEnv: undefined }

describe("what is forwarded to", () => {
  it.each([
    ["misha", "iterate.app", "https://5432__misha.iterate.app/"],
    ["MISHA", "iterate.app", "https://5432__misha.iterate.app/"],
    ["mach_123", "iterate.app", "https://5432__mach_123.iterate.app/"],
    ["5432__misha", "iterate.app", "https://5432__misha.iterate.app/"],
    ["misha.iterate.app", "iterate.app", "https://5432__misha.iterate.app/"],
    ["5432__misha.iterate.app", "iterate.app", "https://5432__misha.iterate.app/"],
    ["5432__misha.iterate.app", undefined, "https://5432__misha.iterate.app/"],
    ["db.example.com", "iterate.app", "https://db.example.com/"],
    ["http://5432__misha.localhost:8080", undefined, "http://5432__misha.localhost:8080/"],
  ])("%s below %s", (subject, domain, url) => {
    expect(portUrl(5432, subject, domain).href).toBe(url)
  })

  it.each([
    ["a name without a domain", "misha", undefined, /--domain or INGRESS_DOMAIN/],
    ["another port in the name", "80__misha", "iterate.app", /names port 80, and not 5432/],
    ["an invalid name", "mi sha", "iterate.app", /no name of a project: letters, digits/],
    ["an invalid domain", "misha", "https://iterate.app", /INGRESS_DOMAIN must be a domain/],
    ["credentials in a URL", "https://a:b@misha.iterate.app", undefined, /must have no credentials/],
    ["another scheme", "ftp://misha.iterate.app", undefined, /https or http URL/],
  ])("refuses %s", (_name, subject, domain, message) => {
    expect(() => portUrl(5432, subject, domain)).toThrow(message)
  })
})

describe("where it listens", () => {
  it.each([
    [undefined, "127.0.0.1", 5432],
    ["0", "127.0.0.1", 0],
    ["15432", "127.0.0.1", 15_432],
    ["0.0.0.0:15432", "0.0.0.0", 15_432],
    ["[::1]:0", "::1", 0],
  ])("%s", (text, address, port) => {
    expect(listenOf(text, 5432)).toEqual({ address, port })
  })

  it.each(["localhost:1", "70000", "::1:5432", "", "127.0.0.1:", "1:2:3"])("refuses %s", (text) => {
    expect(() => listenOf(text, 5432)).toThrow("--listen must be a port")
  })
})

describe("credentials", () => {
  const https = new URL("https://misha.iterate.app")

  it("come from INGRESS_TOKEN, or from the variables that are named", () => {
    expect(credentialHeaders(https, undefined, none, {})).toEqual({})
    expect(credentialHeaders(https, undefined, none, { INGRESS_TOKEN: "" })).toEqual({})
    expect(credentialHeaders(https, undefined, none, { INGRESS_TOKEN: "t" })).toEqual({ authorization: "Bearer t" })
    const named = { ...none, tokenEnv: "MINE", cookieEnv: "JAR" }
    expect(credentialHeaders(https, undefined, named, { INGRESS_TOKEN: "t", MINE: "m", JAR: "s=1" })).toEqual({
      authorization: "Bearer m",
      cookie: "s=1",
    })
  })

  it("are not sent where others could read them, nor with what no field can have", () => {
    const sent = (url: string, token = "t", address?: string) =>
      credentialHeaders(new URL(url), address, none, { INGRESS_TOKEN: token })
    expect(() => sent("http://misha.iterate.app")).toThrow("must be https, or of this computer")
    expect(() => sent("http://localhost.iterate.app")).toThrow("must be https, or of this computer")
    expect(sent("http://misha.localhost:8080")).toEqual({ authorization: "Bearer t" })
    // It is the address that they go to which counts, not the name.
    expect(() => sent("http://misha.localhost:8080", "t", "192.0.2.1")).toThrow("must be https, or of this computer")
    expect(sent("http://misha.iterate.app", "t", "127.0.0.1")).toEqual({ authorization: "Bearer t" })
    expect(sent("http://misha.iterate.app", "t", "::1")).toEqual({ authorization: "Bearer t" })
    expect(() => sent("https://misha.iterate.app", "t\r\nx: y")).toThrow("no header field can have")
    expect(() => credentialHeaders(https, undefined, { ...none, tokenEnv: "NOPE" }, {})).toThrow("has no NOPE")
    expect(() => credentialHeaders(https, undefined, { ...none, tokenEnv: "A", tokenFile: "b" }, {})).toThrow(
      "choose one",
    )
  })
})

describe("a file that an option names", () => {
  it("is named with its option where it cannot be read", () => {
    expect(() => textOf("--token-file", "/nowhere")).toThrow("--token-file: /nowhere does not exist")
    expect(() => textOf("--token-file", tmpdir())).toThrow(`--token-file: ${tmpdir()} is a folder`)
  })

  it("has a certificate, if it is one of authorities", () => {
    const file = new URL("../../package.json", import.meta.url).pathname
    expect(() => authoritiesOf(file)).toThrow(`--ca: ${file} has no certificate in PEM`)
    expect(authoritiesOf(undefined)).toBeUndefined()
  })
})
