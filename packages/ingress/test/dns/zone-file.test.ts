import { chmod, mkdir, readdir, stat, symlink, lstat, rm, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { RecordInvalid } from "@project-ingress/ingress/dns"
import type { DnsRecord } from "@project-ingress/ingress/dns"
import { zoneFile } from "@project-ingress/ingress/dns/zone-file"
import type { ZoneChecker, ZoneFileOptions } from "@project-ingress/ingress/dns/zone-file"
import { checkRecords } from "../../src/dns/check-record.ts"
import { isLater, raiseSerial } from "../../src/dns/zone-file/raise-serial.ts"
import { readZoneText, writeZoneText } from "../../src/dns/zone-file/zone-text.ts"
import { noon, origin, programPath, testZone, written } from "./zones.ts"
import type { TestZone } from "./zones.ts"

const zones: TestZone[] = []
afterEach(async () => {
  for (const zone of zones.splice(0)) await zone.remove()
})

const zone = async (options: Partial<ZoneFileOptions> = {}, text?: string): Promise<TestZone> => {
  const made = await testZone(options, text)
  zones.push(made)
  return made
}

const a = (name: string, content = "100.64.0.1", more: Partial<DnsRecord> = {}): DnsRecord => ({
  name,
  type: "A",
  content,
  ...more,
})
const llm = "llm.internal.example.com"

describe("a zone file", () => {
  it("gets a section at its end and a later serial, and is the same otherwise", async () => {
    const { dns, text } = await zone()
    await dns.put(llm, [a(llm)])
    await dns.put("*.dev.internal.example.com", [a("*.dev.internal.example.com", "100.64.0.2", { ttl: 600 })])
    await dns.put("web.internal.example.com", [
      { name: "web.internal.example.com", type: "TXT", content: `say "hi"; \\ ${"x".repeat(300)}` },
      { name: "web.internal.example.com", type: "AAAA", content: "FD7A::1" },
    ])
    await dns.put("old.internal.example.com", [
      { name: "old.internal.example.com", type: "CNAME", content: "_x.example.net" },
    ])
    const now = await text()
    const [head, section] = now.split(/; project-ingress begin .*\n/)
    expect(head).toBe(written.replace("2026112907", "2026113003"))
    expect(section).toMatchInlineSnapshot(`
      "*.dev.internal.example.com.	600	IN	A	100.64.0.2
      llm.internal.example.com.	60	IN	A	100.64.0.1
      old.internal.example.com.	60	IN	CNAME	_x.example.net.
      web.internal.example.com.	60	IN	AAAA	fd7a::1
      web.internal.example.com.	60	IN	TXT	"say \\"hi\\"; \\\\ ${"x".repeat(243)}" "${"x".repeat(57)}"
      ; project-ingress end
      "
    `)
  })
  it("lists what was put, of a name and of all", async () => {
    const { dns } = await zone()
    await dns.put(llm, [a(llm), { name: llm, type: "TXT", content: `"\\` }])
    await dns.put("b.internal.example.com", [a("b.internal.example.com")])
    await expect(dns.list(llm)).resolves.toEqual([
      { ...a(llm), ttl: 60 },
      { name: llm, type: "TXT", content: `"\\`, ttl: 60 },
    ])
    await expect(dns.list()).resolves.toHaveLength(3)
    await expect(dns.list("nas.internal.example.com")).resolves.toEqual([])
  })
  it("is not written when nothing changes, and loses the section with its last record", async () => {
    const reloads: string[] = []
    const { dns, text } = await zone({ reload: () => reloads.push("reload") })
    await dns.put(llm, [a(llm)])
    const first = await text()
    await dns.put(llm, [a(llm)])
    await dns.put("nobody.internal.example.com", [])
    expect(await text()).toBe(first)
    expect(reloads).toHaveLength(1)
    await dns.put(llm, [])
    expect(await text()).toBe(written.replace("2026112907", "2026113001"))
    expect(reloads).toHaveLength(2)
  })
  it("has all that is put at the same time", async () => {
    const { dns } = await zone()
    const names = Array.from({ length: 10 }, (_, i) => `n${i}.internal.example.com`)
    await Promise.all(names.map((name) => dns.put(name, [a(name)])))
    expect((await dns.list()).map(({ name }) => name)).toEqual(names)
  })
  it("keeps its permissions, stays a link, and nothing is left beside it", async () => {
    const { path } = await zone()
    await chmod(path, 0o640)
    await mkdir(join(dirname(path), "links"))
    const link = join(dirname(path), "links", "zone.db")
    await symlink(path, link)
    await zoneFile({ path: link, origin }).put(llm, [a(llm)])
    expect((await stat(path)).mode & 0o777).toBe(0o640)
    expect((await lstat(link)).isSymbolicLink()).toBe(true)
    expect(await readdir(dirname(path))).toEqual(["links", "zone.db"])
  })
})

describe("what is not ours", () => {
  it.each([
    ["an address beside an address", [a("nas.internal.example.com")]],
    ["an address beside an alias", [a("mail.internal.example.com")]],
    ["text beside an alias", [{ name: "mail.internal.example.com", type: "TXT", content: "x" } as const]],
    ["an alias beside anything", [{ name: origin, type: "CNAME", content: "example.net" } as const]],
    [
      "an IPv6 address beside an IPv4 address",
      [{ name: "ns.internal.example.com", type: "AAAA", content: "::1" } as const],
    ],
  ])("is in use: %s, also with adopt", async (_what, records) => {
    const { dns, text } = await zone({ adopt: true })
    await expect(dns.put(records[0]!.name, records)).rejects.toMatchObject({ _tag: "RecordInUse" })
    expect(await text()).toBe(written)
  })
  it("may stay beside text", async () => {
    const { dns } = await zone()
    const record = { name: "nas.internal.example.com", type: "TXT", content: "x" } as const
    await dns.put(record.name, [record])
    await dns.put(record.name, [])
    await expect(dns.list()).resolves.toEqual([])
  })
  it("may be edited at any time, and is kept", async () => {
    const { dns, text, edit } = await zone()
    await dns.put(llm, [a(llm)])
    await edit((text) => `${text.replace("2026113000", "2026113050")}printer.${origin}. IN A 100.64.0.10\n`)
    await dns.put("b.internal.example.com", [a("b.internal.example.com")])
    expect(await text()).toContain("printer.internal.example.com. IN A 100.64.0.10\n; project-ingress begin")
    expect(await text()).toContain("2026113051 ; the serial")
  })
})

describe("a section that was edited by hand", () => {
  it.each([
    ["a changed line", (text: string) => text.replace("100.64.0.1", "100.64.0.2")],
    [
      "a line more",
      (text: string) => text.replace("; project-ingress end", "x.internal.example.com. 60 IN A 1.2.3.4\n$&"),
    ],
    ["a line less", (text: string) => text.replace(/llm.*\n/, "")],
    ["another hash", (text: string) => text.replace(/(?<=begin )\w/, "x")],
  ])("is noticed and refused: %s", async (_what, change) => {
    const { dns, text, edit } = await zone()
    await dns.put(llm, [a(llm)])
    await edit(change)
    const edited = await text()
    await expect(dns.put("b.internal.example.com", [a("b.internal.example.com")])).rejects.toMatchObject({
      _tag: "DnsFailed",
      reason: "the section of records that are made here was edited by hand",
    })
    await expect(dns.list()).rejects.toMatchObject({ _tag: "DnsFailed" })
    expect(await text()).toBe(edited)
  })
  it("is taken as it is with adopt", async () => {
    const { dns, text, edit, path } = await zone()
    await dns.put(llm, [a(llm)])
    await edit((text) => text.replace("; project-ingress end", "x A 100.64.0.7\n$&"))
    const adopting = zoneFile({ path, origin, adopt: true, now: () => noon })
    await expect(adopting.list("x.internal.example.com")).resolves.toHaveLength(1)
    await adopting.put(llm, [a(llm)])
    await expect(dns.list()).resolves.toHaveLength(2)
    expect(await text()).toContain("x.internal.example.com.\t60\tIN\tA\t100.64.0.7")
  })
  it("is refused with adopt where it has what cannot be put", async () => {
    const { edit, dns, path } = await zone()
    await dns.put(llm, [a(llm)])
    await edit((text) => text.replace("; project-ingress end", "x.internal.example.com. 60 IN MX 10 a.\n$&"))
    await expect(zoneFile({ path, origin, adopt: true }).put(llm, [])).rejects.toThrow(/line \d+ in the section/)
  })
})

describe("a zone that cannot be read is refused, and is not written", () => {
  it.each([
    ["without SOA", written.replace("SOA", "TXT"), "one SOA"],
    ["with two SOA records", `${written}@ IN SOA a b 1 2 3 4 5\n`, "one SOA"],
    ["of another name", written.replace("@ IN SOA", "@.x IN SOA"), "the SOA record is of"],
    ["with a serial of 33 bits", written.replace("2026112907", "4294967296"), "32 bits"],
    ["with a serial that is a word", written.replace("2026112907", "today"), "32 bits"],
    ["with open parentheses", `${written}x IN TXT ( "a"\n`, "not closed"],
    ["with an open quote", `${written}x IN TXT "a\n`, "not closed"],
    ["with half a section", `${written}; project-ingress end\n`, "do not fit together"],
  ])("%s", async (_what, text, reason) => {
    const { dns, text: now } = await zone({}, text)
    await expect(dns.put(llm, [a(llm)])).rejects.toThrow(reason)
    expect(await now()).toBe(text)
  })
  it("and so is one that is not there", async () => {
    const { dns, path } = await zone()
    await rm(path)
    await expect(dns.put(llm, [a(llm)])).rejects.toMatchObject({ _tag: "DnsFailed" })
  })
})

describe("a record that cannot be written is refused with its field", () => {
  it.each<[string, DnsRecord, string]>([
    ["another zone", a("www.example.org"), "name"],
    ["a longer suffix", a("xinternal.example.com"), "name"],
    ["capitals", a("LLM.internal.example.com"), "name"],
    ["an underscore in the name of an address", a("4096__misha.internal.example.com"), "name"],
    ["a label of 64", a(`${"a".repeat(64)}.internal.example.com`), "name"],
    ["a name of 254", a(`${`${"a".repeat(58)}.`.repeat(4)}aaa.internal.example.com`), "name"],
    ["a space", a("a b.internal.example.com"), "name"],
    ["a line break", a("a\nb.internal.example.com"), "name"],
    ["a wildcard within", a("a.*.internal.example.com"), "name"],
    ["octal", a(llm, "100.64.0.01"), "content"],
    ["a short address", a(llm, "100.64.1"), "content"],
    ["a line break in an address", a(llm, "100.64.0.1\nevil IN A 1.2.3.4"), "content"],
    ["IPv6 for A", a(llm, "::1"), "content"],
    ["IPv4 for AAAA", { ...a(llm, "::ffff:1.2.3.4"), type: "AAAA" }, "content"],
    ["a relative alias", { ...a(llm, "x.example.com."), type: "CNAME" }, "content"],
    ["a line break in text", { ...a(llm, "a\nb"), type: "TXT" }, "content"],
    ["another type", { ...a(llm), type: "NS" as "A" }, "type"],
    ["a type of Object", { ...a(llm), type: "constructor" as "A" }, "type"],
    ["a TTL of 59", a(llm, "100.64.0.1", { ttl: 59 }), "ttl"],
  ])("%s", async (_what, record, field) => {
    const { dns, text } = await zone()
    await expect(dns.put(record.name, [record])).rejects.toMatchObject({ _tag: "RecordInvalid", field })
    expect(await text()).toBe(written)
  })
  it("names of another name, and an alias with an address", async () => {
    const { dns } = await zone()
    await expect(dns.put(llm, [a("b.internal.example.com")])).rejects.toMatchObject({ field: "name" })
    const alias = { name: llm, type: "CNAME", content: "example.net" } as const
    await expect(dns.put(llm, [a(llm), alias])).rejects.toMatchObject({ field: "type" })
  })
})

describe("if a step fails, the zone is as it was", () => {
  it("a check that rejects", async () => {
    const checked: string[] = []
    const { dns, text, path } = await zone({
      check: ({ path }) => {
        checked.push(path)
        throw new Error("no")
      },
    })
    await expect(dns.put(llm, [a(llm)])).rejects.toMatchObject({ _tag: "DnsFailed", cause: { message: "no" } })
    expect(await text()).toBe(written)
    expect(dirname(checked[0]!)).toBe(dirname(path))
    expect(await readdir(dirname(path))).toEqual(["zone.db"])
  })
  it("a reload that rejects: the former records are written again, with a later serial", async () => {
    const seen: string[] = []
    const { dns, text } = await zone({
      reload: async () => {
        seen.push(await text())
        if (seen.length === 1) throw new Error("no server")
      },
    })
    await expect(dns.put(llm, [a(llm)])).rejects.toMatchObject({ reason: "the server cannot be reloaded" })
    expect(await text()).toBe(written.replace("2026112907", "2026113001"))
    expect(seen).toEqual([expect.stringContaining("100.64.0.1"), await text()])
  })
  it("a file of a process's id that holds none", async () => {
    const { dns, path } = await zone()
    const pidFile = join(dirname(path), "pid")
    for (const pid of ["", "0", "-1", "1", "x"]) {
      await writeFile(pidFile, pid)
      const broken = zoneFile({ path, origin, reload: { pidFile } })
      await expect(broken.put(llm, [a(llm)]), pid).rejects.toMatchObject({ reason: "the server cannot be reloaded" })
      await expect(dns.list()).resolves.toEqual([])
    }
  })
  it("a signal that is aborted before it is written", async () => {
    const aborted = new AbortController()
    const { dns, text } = await zone({ check: () => aborted.abort(new Error("enough")) })
    await expect(dns.put(llm, [a(llm)], { signal: aborted.signal })).rejects.toThrow("enough")
    expect(await text()).toBe(written)
  })
})

it("a file that changes while it is checked is read again", async () => {
  let times = 0
  const made = await zone({
    check: async () => {
      if (times++ === 0) await made.edit((text) => `${text}late IN A 100.64.0.11\n`)
    },
  })
  await made.dns.put(llm, [a(llm)])
  expect(times).toBe(2)
  expect(await made.text()).toMatch(/late IN A[^]*llm\.internal/)
})

describe("a serial", () => {
  it.each([
    [2026112907, 2026113000, "a date before today becomes today's first"],
    [2026113000, 2026113001, "today's is counted up"],
    [2026113099, 2026113100, "also beyond a hundred"],
    [2027010100, 2027010101, "a later date is counted up"],
    [1, 2, "a counter is counted up"],
    [2026139901, 2026139902, "what only looks like a date is a counter"],
    [4294967295, 1, "the last one is followed by 1"],
  ])("%i becomes %i: %s", (serial, raised) => {
    expect(raiseSerial(serial, noon)).toBe(raised)
  })
  it("is always later by RFC 1982, and never 0", () => {
    fc.assert(
      fc.property(fc.nat(0xffffffff), fc.integer({ min: 0, max: 4e12 }), (serial, now) => {
        const raised = raiseSerial(serial, now)
        expect(isLater(raised, serial)).toBe(true)
        expect(raised > 0 && raised < 2 ** 32).toBe(true)
      }),
    )
  })
})

describe("whatever is put", () => {
  const before = readZoneText(written, origin)
  if (typeof before === "string") throw new Error(before)
  const readBack = (records: readonly DnsRecord[]) => {
    const after = readZoneText(writeZoneText(before, records, { ttl: 60, now: noon }).text, origin)
    if (typeof after === "string") throw new Error(after)
    expect(after.isEdited).toBe(false)
    expect(after.others).toHaveLength(before.others.length)
    return after.records
  }
  it("the same text is read, and nothing else", () => {
    const label = fc.stringMatching(/^[a-z0-9]{1,8}$/)
    const text = fc.stringMatching(/^[\x20-\x7e]{1,600}$/)
    const record = fc
      .tuple(label, text)
      .map(([label, content]): DnsRecord => ({ name: `${label}.${origin}`, type: "TXT", content, ttl: 60 }))
    const records = fc.uniqueArray(record, { selector: ({ name }) => name, maxLength: 5 })
    fc.assert(
      fc.property(records, (records) => {
        expect(readBack(records).toSorted(byName)).toEqual(records.toSorted(byName))
      }),
      { numRuns: 200, interruptAfterTimeLimit: 1_000 },
    )
  })
  it("each is refused, or is one record", () => {
    const part = fc.oneof(
      fc.constantFrom(
        "a",
        ".",
        "*",
        "-",
        "_",
        "\n",
        ";",
        "(",
        ")",
        '"',
        "\\",
        "$",
        "@",
        " ",
        "\t",
        "\0",
        "1",
        "é",
        ":",
        "::",
        "127.0.0.1",
      ),
      fc.string({ unit: "grapheme", maxLength: 3 }),
    )
    const hostile = fc.array(part, { maxLength: 8 }).map((parts) => parts.join(""))
    const type = fc.constantFrom<DnsRecord["type"]>("A", "AAAA", "CNAME", "TXT")
    fc.assert(
      fc.property(hostile, type, hostile, (label, type, content) => {
        const name = `${label}.${origin}`
        const checked = acceptedRecords({ name, type, content, ttl: 60 })
        expect(checked && readBack(checked)).toEqual(checked)
      }),
      { numRuns: 5_000, interruptAfterTimeLimit: 1_000 },
    )
  })
})
const acceptedRecords = (record: DnsRecord): readonly DnsRecord[] | undefined => {
  try {
    return checkRecords(record.name, [record], origin)
  } catch (error) {
    if (error instanceof RecordInvalid) return undefined
    throw error
  }
}
const byName = (a: DnsRecord, b: DnsRecord): number => (a.name < b.name ? -1 : 1)

describe.each<ZoneChecker>(["named-checkzone", "kzonecheck", "nsd-checkzone"])("%s", (check) => {
  it("accepts all that is written", async (ctx) => {
    if (programPath(check) === undefined) ctx.skip(`no ${check} is installed`)
    const { dns } = await zone({ check })
    const text = `${"x".repeat(254)}"\\;( ${"y".repeat(600)}`
    await dns.put(llm, [a(llm), a(llm, "100.64.0.2"), { name: llm, type: "TXT", content: text }])
    await dns.put("*.dev.internal.example.com", [a("*.dev.internal.example.com")])
    await dns.put("_acme-challenge.internal.example.com", [
      { name: "_acme-challenge.internal.example.com", type: "TXT", content: "token" },
    ])
    await dns.put("alias.internal.example.com", [
      { name: "alias.internal.example.com", type: "CNAME", content: "4096__misha.example.net" },
    ])
    await expect(dns.list()).resolves.toHaveLength(6)
  })
  it("names the record of ours that it refuses", async (ctx) => {
    if (programPath(check) === undefined) ctx.skip(`no ${check} is installed`)
    // What is included is not seen by the writer.
    const { dns, text, path } = await zone({ check }, `${written}$INCLUDE included.db\n`)
    await writeFile(join(dirname(path), "included.db"), "llm IN A 1.2.3.4\n")
    const before = await text()
    await expect(dns.put(llm, [{ name: llm, type: "CNAME", content: "example.net" }])).rejects.toMatchObject({
      _tag: "RecordInvalid",
      record: llm,
      accepted: expect.stringMatching(/CNAME/),
    })
    expect(await text()).toBe(before)
  })
  it("refuses a zone that is invalid outside the section, and it stays", async (ctx) => {
    if (programPath(check) === undefined) ctx.skip(`no ${check} is installed`)
    const broken = `${written}broken IN A 300.1.2.3\n`
    const { dns, text } = await zone({ check }, broken)
    await expect(dns.put(llm, [a(llm)])).rejects.toMatchObject({
      _tag: "DnsFailed",
      reason: expect.stringContaining(check),
    })
    expect(await text()).toBe(broken)
  })
})

it("named-checkzone fails where BIND would refuse the zone: an address whose owner is no hostname", async (ctx) => {
  if (programPath("named-checkzone") === undefined) ctx.skip("no named-checkzone is installed")
  const { dns } = await zone({ check: "named-checkzone" }, `${written}4096__misha IN A 100.64.0.8\n`)
  await expect(dns.put(llm, [a(llm)])).rejects.toMatchObject({
    _tag: "DnsFailed",
    reason: expect.stringContaining("bad owner name"),
  })
})

it("nothing is written after a signal", async () => {
  const { dns, text } = await zone({ check: "nsd-checkzone" })
  const signal = AbortSignal.abort(new Error("enough"))
  await expect(dns.put(llm, [a(llm)], { signal })).rejects.toThrow("enough")
  expect(await text()).toBe(written)
})

it.each([
  [{ origin: "example.com." }, /origin must be/],
  [{ check: "checkzone" }, /check must be a function or named-checkzone/],
  [{ reload: { pid: 1 } }, /reload must be/],
  [{ ttl: 5 }, /ttl must be/],
  [{ file: "x" }, /file is not an option/],
])("options %j are refused", (options, message) => {
  expect(() => zoneFile({ path: "/x", origin, ...(options as object) })).toThrow(message)
})
