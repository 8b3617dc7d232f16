import { execFile, execFileSync, spawnSync } from "node:child_process"
import { generateKeyPairSync, X509Certificate } from "node:crypto"
import type { KeyObject } from "node:crypto"
import { once } from "node:events"
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { connect } from "node:tls"
import { inspect, promisify } from "node:util"
import { publicKeyPin } from "@project-ingress/forward/sockets"
import { afterAll, describe, expect, it } from "vitest"
import { createMachineProxy, machineTls } from "../src/machine-proxy.ts"
import type { MachineTls } from "../src/machine-proxy.ts"
import { pinCommand } from "../src/pin-command.ts"
import { selfSignedCertificate } from "../src/self-signed-certificate.ts"
import { machine, raw, startApp, ticketFor, verification } from "./harness.ts"

const run = promisify(execFile)
const folder = mkdtempSync(join(tmpdir(), "machine-tls-"))
afterAll(() => rmSync(folder, { recursive: true }))
const file = (name: string): string => join(folder, name)
const pem = (key: KeyObject): string => key.export({ type: "pkcs8", format: "pem" }) as string

const kinds: readonly (readonly [string, () => KeyObject])[] = [
  ["P-256", () => generateKeyPairSync("ec", { namedCurve: "P-256" }).privateKey],
  ["P-384", () => generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey],
  ["Ed25519", () => generateKeyPairSync("ed25519").privateKey],
  ["RSA", () => generateKeyPairSync("rsa", { modulusLength: 2_048 }).privateKey],
]

/** A machine proxy that speaks TLS. */
const serve = async ({ server: tls }: MachineTls) => {
  const proxy = createMachineProxy({ machine, keys: [verification] })
  const server = createServer(proxy.secureConnection(tls))
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  return {
    port: (server.address() as AddressInfo).port,
    [Symbol.asyncDispose]: async () => {
      server.close()
      await proxy.drain({ deadlineMs: 0 })
    },
  }
}

/** The text of a response by TLS, and the pin of whoever gave it. */
const ask = async (port: number, ...lines: readonly string[]) => {
  const socket = connect({ port, host: "127.0.0.1", rejectUnauthorized: false })
  await once(socket, "secureConnect")
  const pin = publicKeyPin(socket.getPeerX509Certificate()!.publicKey)
  socket.write([...lines, "Host: m", "Connection: close", "", ""].join("\r\n"))
  const text = Buffer.concat(await socket.toArray()).toString()
  return { pin, text }
}

describe.each(kinds)("a key of the kind %s", (kind, make) => {
  it("gets a certificate that is valid by itself, for as long as there is time", () => {
    const key = make()
    const certificate = new X509Certificate(selfSignedCertificate(key)!)
    expect(certificate.checkPrivateKey(key)).toBe(true)
    expect(certificate.verify(certificate.publicKey)).toBe(true)
    expect(certificate.checkIssued(certificate)).toBe(true)
    expect([certificate.validFrom, certificate.validTo]).toEqual([
      "Jan  1 00:00:00 1970 GMT",
      "Dec 31 23:59:59 9999 GMT",
    ])
  })

  it("is what the machine proxy speaks TLS by, and what its pin is of", async () => {
    const key = make()
    writeFileSync(file(kind), pem(key))
    const tls = machineTls(file(kind))
    expect(tls.pin).toBe(publicKeyPin(key))
    await using app = await startApp()
    await using proxy = await serve(tls)
    const health = await ask(proxy.port, "GET /__ingress/health HTTP/1.1")
    expect(health.pin).toBe(tls.pin)
    expect(health.text).toMatch(/^HTTP\/1\.1 200 /)
    const named = `${app.port}__app.example.com`
    const target = [`x-iterate-proxy-ticket: ${ticketFor(named)}`, `x-iterate-proxy-target-host: ${named}`]
    expect((await ask(proxy.port, "GET /a HTTP/1.1", ...target)).text).toContain('"url":"/a"')
  })
})

describe("a machine proxy that speaks TLS", () => {
  it("closes a plain connection without a response", async () => {
    await using proxy = await serve(machineTls(file("plain.pem")))
    const response = await raw(proxy.port, ["GET /__ingress/health HTTP/1.1", "Host: m"]).catch(() => undefined)
    // At most an alert of TLS.
    expect(response?.status ?? Number.NaN).toBeNaN()
    expect((await ask(proxy.port, "GET /__ingress/health HTTP/1.1")).text).toContain("200")
  })

  it("is known to curl by its pin, and to nobody by another one", async (ctx) => {
    if (spawnSync("curl", ["--version"]).error !== undefined) ctx.skip("no curl here")
    const tls = machineTls(file("curl.pem"))
    await using proxy = await serve(tls)
    const curl = (pin: string): Promise<number> =>
      run("curl", ["-ksS", "--pinnedpubkey", pin, `https://127.0.0.1:${proxy.port}/__ingress/health`]).then(
        () => 0,
        ({ code }: { readonly code: number }) => code,
      )
    expect(await curl(tls.pin)).toBe(0)
    // CURLE_SSL_PINNEDPUBKEYNOTMATCH
    expect(await curl(`sha256//${"A".repeat(43)}=`)).toBe(90)
  })
})

describe("the file of a key", () => {
  it("is made at the first start, for its owner only, and read at every other", () => {
    const { pin } = machineTls(file("new.pem"))
    expect(statSync(file("new.pem")).mode & 0o777).toBe(0o600)
    expect(readFileSync(file("new.pem"), "utf8")).toMatch(
      /^-----BEGIN PRIVATE KEY-----\n[^-]+-----END PRIVATE KEY-----\n$/,
    )
    expect(machineTls(file("new.pem")).pin).toBe(pin)
    expect(readdirSync(folder).filter((name) => name.startsWith("new.pem"))).toEqual(["new.pem"])
  })

  it("is another key for each machine", () => {
    expect(machineTls(file("one.pem")).pin).not.toBe(machineTls(file("two.pem")).pin)
  })

  it("may hold the key's certificate, before or after it", () => {
    const key = kinds[0]![1]()
    const certificate = selfSignedCertificate(key)!
    writeFileSync(file("after.pem"), pem(key) + certificate)
    writeFileSync(file("before.pem"), certificate + pem(key))
    expect(machineTls(file("after.pem")).pin).toBe(publicKeyPin(key))
    expect(machineTls(file("before.pem")).pin).toBe(publicKeyPin(key))
  })

  it.each<[string, () => string, RegExp]>([
    ["nothing", () => "", /has no private key in PEM/],
    ["no PEM", () => "s3cr3t", /has no private key in PEM/],
    [
      "a public key",
      () => "-----BEGIN PUBLIC KEY-----\ns3cr3t\n-----END PUBLIC KEY-----\n",
      /has no private key in PEM/,
    ],
    [
      "an encrypted key",
      () =>
        kinds[0]![1]().export({ type: "pkcs8", format: "pem", cipher: "aes-256-cbc", passphrase: "s3cr3t" }) as string,
      /not encrypted/,
    ],
    ["a key that TLS does not sign with", () => pem(generateKeyPairSync("x25519").privateKey), /EC, RSA or Ed25519/],
    [
      "another key's certificate",
      () => pem(kinds[0]![1]()) + selfSignedCertificate(kinds[0]![1]())!,
      /has a certificate of another key/,
    ],
  ])("with %s is refused, and stays as it is", (name, text, problem) => {
    const path = file(`wrong ${name}`)
    const content = text()
    writeFileSync(path, content)
    expect(() => machineTls(path)).toThrow(problem)
    expect(() => machineTls(path)).toThrow(JSON.stringify(path))
    expect(() => machineTls(path)).not.toThrow(/s3cr3t/)
    expect(readFileSync(path, "utf8")).toBe(content)
  })

  it("cannot be a folder, or in one that is not there", () => {
    mkdirSync(file("folder"))
    expect(() => machineTls(file("folder"))).toThrow("is not a file")
    expect(() => machineTls(file("nowhere/tls.pem"))).toThrow("cannot be made (ENOENT)")
  })

  it("is made once by processes that start at the same time", async () => {
    const script = `
      import { machineTls } from ${JSON.stringify(new URL("../src/machine-proxy.ts", import.meta.url).href)}
      console.log(machineTls(${JSON.stringify(file("race.pem"))}).pin)`
    const args = ["--conditions=@project-ingress/source", "--input-type=module-typescript", "-e", script]
    const pins = await Promise.all(Array.from({ length: 4 }, () => run(process.execPath, args)))
    expect(new Set(pins.map(({ stdout }) => stdout))).toEqual(new Set([`${machineTls(file("race.pem")).pin}\n`]))
    expect(readdirSync(folder).filter((name) => name.startsWith("race.pem"))).toEqual(["race.pem"])
  })

  it.each<[string, (path: string) => void]>([
    ["made here", () => undefined],
    [
      "with its certificate",
      (path) => {
        const key = kinds[0]![1]()
        writeFileSync(path, pem(key) + selfSignedCertificate(key)!)
      },
    ],
  ])("%s, is led to by nothing that is printed", (name, make) => {
    const path = file(`printed ${name}`)
    make(path)
    const tls = machineTls(path)
    const text = readFileSync(path, "utf8")
    const [, line] = text.split("\n")
    const shown = inspect(tls, { depth: Infinity, showHidden: true, maxStringLength: Infinity })
    expect(shown).not.toContain(line)
    expect(Object.values(tls.server)).not.toContain(text)
  })
})

describe("the command pin", () => {
  it("prints the pin of a file's key, made if there is none", () => {
    const made = pinCommand("p", [file("command.pem")], {})
    expect(made).toEqual({ output: `${machineTls(file("command.pem")).pin}\n` })
    expect(pinCommand("p", [], { INGRESS_TLS_KEY_FILE: file("command.pem") })).toEqual(made)
  })

  it("is what openssl makes of the key", (ctx) => {
    if (spawnSync("openssl", ["version"]).error !== undefined) ctx.skip("no openssl here")
    const { pin } = machineTls(file("openssl.pem"))
    const info = execFileSync("openssl", ["pkey", "-in", file("openssl.pem"), "-pubout", "-outform", "der"])
    const hash = execFileSync("openssl", ["dgst", "-sha256", "-binary"], { input: info })
    expect(`sha256//${hash.toString("base64")}`).toBe(pin)
  })

  it.each([
    [[], "expected one file, or INGRESS_TLS_KEY_FILE"],
    [["a", "b"], "expected one file, or INGRESS_TLS_KEY_FILE"],
    [["--file"], "Unknown option '--file'"],
    [[folder], `${JSON.stringify(folder)} is not a file`],
  ])("says what is wrong with %j", (args, problem) => {
    expect(pinCommand("p", args, {})).toEqual({ problem: expect.stringContaining(problem) as unknown })
  })
})
