/** `requireHeader`: smuggled past, guessed, seen by the app. */
import { createHash } from "node:crypto"
import { afterAll, describe, expect, it } from "vitest"
import { requireHeader } from "../../src/policies.ts"
import type { Policy } from "../../src/router.ts"
import { names } from "../fakes.ts"
import { handshake, startRawHost } from "./raw-host.ts"
import { toMachine, visits } from "./visit.ts"

const sha256 = (value: string | Buffer): string => createHash("sha256").update(value).digest("hex")
const secret = "4f0b1e7c9a"
const settings = { requireHeader: { name: "x-key", sha256: sha256(secret) } }
const url = "https://misha.iterate.app/"
const withKey = (value: string): RequestInit => ({ headers: { "x-key": value } })

describe("a port that requires a field", () => {
  const routes = {
    "p:misha": toMachine({
      ...settings,
      ports: { 8080: { requireHeader: { name: "x-other", sha256: sha256("other") } } },
    }),
  }

  it("is reached with its value, first and again, and with no other", async () => {
    const { visit } = visits([requireHeader()], routes)
    for (let i = 0; i < 2; i++) {
      expect((await visit(url, withKey(secret))).status).toBe(200)
      for (const wrong of [
        "",
        "x",
        `${secret}0`,
        secret.slice(1),
        secret.toUpperCase(),
        sha256(secret),
        `${secret}, ${secret}`,
      ]) {
        const { status, code } = await visit(url, withKey(wrong))
        expect([status, code]).toEqual([403, "ACCESS_DENIED"])
      }
    }
  })

  it("is reached by its own field under every name, and not by another port's", async () => {
    const { visit } = visits([requireHeader()], routes)
    for (const host of ["8080__misha", "8080--misha", "8080.misha"]) {
      const at = `https://${host}.iterate.app/`
      expect((await visit(at, { headers: { "x-other": "other" } })).status).toBe(200)
      expect((await visit(at, withKey(secret))).status).toBe(403)
    }
  })

  it("takes another value with its next record, and the former one no longer", async () => {
    const { visit, routes: store } = visits([requireHeader()], routes)
    expect((await visit(url, withKey(secret))).status).toBe(200)
    store.attach("p:misha", toMachine({ requireHeader: { name: "x-key", sha256: sha256("next") } }))
    expect((await visit(url, withKey(secret))).status).toBe(403)
    expect((await visit(url, withKey("next"))).status).toBe(200)
  })

  it("is not reached, and nothing wakes, without the policy that carries it out", async () => {
    const { visit, resolved } = visits([], routes)
    const { status, code } = await visit(url, withKey(secret))
    expect([status, code, resolved()]).toEqual([501, "NOT_SUPPORTED", 0])
  })

  it("shows its field to no app, nor to a later policy's edit, and leaves all others", async () => {
    const edited: (string | undefined)[] = []
    const look: Policy = { name: "look", onForward: (edit) => void edited.push(edit.get("X-KEY")) }
    const { visit, sent } = visits([requireHeader(), look], routes)
    await visit(url, { headers: { "x-key": secret, "x-keys": "kept", "x-other": "kept" } })
    expect(names(sent[0]!.headers)).not.toContain("x-key")
    expect(JSON.stringify(sent[0]!.headers)).not.toContain(secret)
    expect(names(sent[0]!.headers)).toEqual(expect.arrayContaining(["x-keys", "x-other"]))
    expect(edited).toEqual([undefined])
  })

  it("leaves the field to ports that do not require it", async () => {
    const { visit, sent } = visits([requireHeader()], { "p:misha": toMachine() })
    await visit(url, withKey(secret))
    expect(names(sent[0]!.headers)).toContain("x-key")
  })

  it("says neither field, value nor hash to who is refused, nor in events", async () => {
    const events: unknown[] = []
    const { visit } = visits([requireHeader()], routes, { onEvent: (event) => events.push(event) })
    const { text, response } = await visit(url, withKey("hunter2"))
    const said = text + JSON.stringify([[...response.headers], events])
    for (const word of ["x-key", "hunter2", settings.requireHeader.sha256]) expect(said).not.toContain(word)
  })

  it("compares the bytes as they were sent", async () => {
    const bytes = Buffer.from("clé", "utf8")
    const { visit } = visits([requireHeader()], {
      "p:misha": toMachine({ requireHeader: { name: "x-key", sha256: sha256(bytes) } }),
    })
    expect((await visit(url, withKey(bytes.toString("latin1")))).status).toBe(200)
  })
})

describe("on sockets", async () => {
  const host = await startRawHost([requireHeader()], settings)
  afterAll(() => host.close())
  const get = ["GET / HTTP/1.1", "Host: misha.iterate.app"]

  it.each([
    [[`x-key: ${secret}`], "200"],
    [[`X-KEY:${secret}`], "200"],
    [[`x-Key: \t ${secret} \t`], "200"],
    [[`x-key: ${secret}`, "Connection: x-key"], "200"],
    [[], "403 ACCESS_DENIED"],
    [["x-key:"], "403 ACCESS_DENIED"],
    [[`x-key: ${secret}`, `x-key: ${secret}`], "403 ACCESS_DENIED"],
    [[`x-key: ${secret}`, "X-Key: wrong"], "403 ACCESS_DENIED"],
    [["x-key: wrong", `x-key: ${secret}`], "403 ACCESS_DENIED"],
    [[`x-key: ${secret}`, "X-KEY:"], "403 ACCESS_DENIED"],
    [[`x_key: ${secret}`], "403 ACCESS_DENIED"],
    [[`x-key\u00a0: ${secret}`], "400 REQUEST_MALFORMED"],
    [[`x-key : ${secret}`], "400 REQUEST_MALFORMED"],
    [[` x-key: ${secret}`], "400 REQUEST_MALFORMED"],
    [["x-a: 1", ` x-key: ${secret}`], "400 REQUEST_MALFORMED"],
    [[`x-key: "${secret}"`], "403 ACCESS_DENIED"],
    [[`x-key: ${secret};q=1`], "403 ACCESS_DENIED"],
  ])("%j gets %s", async (fields, expected) => {
    expect(await host.send(...get, ...fields)).toBe(expected)
    if (expected !== "200") return
    expect(JSON.stringify(host.seen())).not.toContain(secret)
  })

  it("a WebSocket handshake needs it as well", async () => {
    expect(await host.send(...handshake("misha.iterate.app"))).toBe("403 ACCESS_DENIED")
    expect(await host.send(...handshake("misha.iterate.app", `x-key: ${secret}`))).toBe("101")
  })

  it("an echo of the request does not hold it", async () => {
    const text = await host.head("TRACE / HTTP/1.1", "Host: misha.iterate.app", `x-key: ${secret}`)
    expect(text).not.toContain(secret)
  })
})
