/** Files and rows that somebody has put there to lead elsewhere, to be read as something else, or to stop the storage. */
import { execFileSync } from "node:child_process"
import { chmodSync, chownSync, lstatSync, mkdirSync, symlinkSync } from "node:fs"
import fc from "fast-check"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { decodeDocument } from "../../src/storage/decode-document.ts"
import { fileStorage } from "../../src/storage/file/file-storage.ts"
import { aGrant, anIngress, aRecord } from "../../src/testing/storage/sample-documents.ts"
import { commit, stored } from "../../src/testing/storage/storage-law.ts"
import { makeFolder } from "./folder.ts"

const SECRET = "sk-0123456789abcdef0123456789abcdef"
const isRoot = process.getuid?.() === 0

let folder: ReturnType<typeof makeFolder>
beforeEach(() => void (folder = makeFolder()))
afterEach(() => folder.remove())
const open = () => fileStorage(folder.root)

const record = (fields: object = {}) =>
  JSON.stringify({ id: "bad", type: "A", content: "10.0.0.5", created_at: "2030-01-01T00:00:00Z", ...fields })
const ingress = (rule: object, fields: object = {}) =>
  JSON.stringify({
    id: "bad",
    name: "bad",
    created_at: "2030-01-01T00:00:00Z",
    rules: [{ match: { hostname: "a.example.com" }, target: { machine: "m", port: 80 }, ...rule }],
    ...fields,
  })

/** Each makes the file of one document unreadable. */
const damages: readonly [damage: string, file: string, reason: string, make: (name: string) => void][] = [
  ["no JSON", "records/bad.json", "is not JSON", (name) => folder.write(name, `{"content":"${SECRET}"`)],
  ["an empty file", "grants/bad.json", "is not JSON", (name) => folder.write(name, "")],
  ["another shape", "records/bad.json", "the document is not valid", (name) => folder.write(name, `["${SECRET}"]`)],
  ["null", "records/bad.json", "the document is not valid", (name) => folder.write(name, "null")],
  ["another id", "records/bad.json", "has another id inside", (name) => folder.write(name, record({ id: SECRET }))],
  ["a wrong field", "records/bad.json", "type is not valid", (name) => folder.write(name, record({ type: SECRET }))],
  ["a field of its own", "records/bad.json", "… is not valid", (name) => folder.write(name, record({ [SECRET]: 1 }))],
  [
    "__proto__",
    "records/bad.json",
    "… is not valid",
    (name) => folder.write(name, record().replace("{", '{"__proto__":{"owner":"org_1"},')),
  ],
  [
    "a date that is not one",
    "records/bad.json",
    "created_at is not valid",
    (name) => folder.write(name, record({ created_at: "1" })),
  ],
  [
    "a month 13",
    "records/bad.json",
    "created_at is not valid",
    (name) => folder.write(name, record({ created_at: "2030-13-01T00:00:00Z" })),
  ],
  [
    "a version of 0",
    "ingresses/bad.json",
    "version is not valid",
    (name) => folder.write(name, ingress({}, { version: 0 })),
  ],
  ["no rules", "ingresses/bad.json", "rules is not valid", (name) => folder.write(name, ingress({}, { rules: [] }))],
  [
    "a wrong rule",
    "ingresses/bad.json",
    "rules.0.target.port is not valid",
    (name) => folder.write(name, ingress({ target: { machine: "m", port: 0 } })),
  ],
  [
    "a secret that does not fit",
    "ingresses/bad.json",
    "rules.0.requireHeader.value is not valid",
    (name) => folder.write(name, ingress({ requireHeader: { name: "x-a", value: `${SECRET} ` } })),
  ],
  [
    "a misspelt secret",
    "ingresses/bad.json",
    "rules.0.requireHeader is not valid",
    (name) => folder.write(name, ingress({ request_header_auth: SECRET })),
  ],
  [
    "a secret as a field's name",
    "ingresses/bad.json",
    "rules.0.responseHeaders.set.… is not valid",
    (name) => folder.write(name, ingress({ responseHeaders: { set: { [`${SECRET} `]: "1" } } })),
  ],
  [
    "a target in two ways",
    "grants/bad.json",
    "target.project is not valid",
    (name) =>
      folder.write(
        name,
        JSON.stringify({
          id: "bad",
          owner: "a",
          to: "b",
          target: { machine: "m", project: "p" },
          created_at: "2030-01-01T00:00:00Z",
        }),
      ),
  ],
  [
    "1 MiB and more",
    "records/bad.json",
    "is larger than 1 MiB",
    (name) => folder.write(name, `${record()}${" ".repeat(1_048_576)}`),
  ],
  [
    "bytes that are not UTF-8",
    "records/bad.json",
    "is not UTF-8",
    (name) => folder.write(name, Buffer.from([0x22, 0xff, 0x22])),
  ],
  ["a deep nest", "records/bad.json", "", (name) => folder.write(name, "[".repeat(100_000) + "]".repeat(100_000))],
  [
    "a link to a file",
    "records/bad.json",
    "is a symbolic link",
    (name) => {
      folder.write("outside.json", record())
      symlinkSync(folder.path("outside.json"), folder.path(name))
    },
  ],
  ["a link to nothing", "records/bad.json", "is a symbolic link", (name) => symlinkSync("/nowhere", folder.path(name))],
  [
    "a link to a device",
    "records/bad.json",
    "is a symbolic link",
    (name) => symlinkSync("/dev/zero", folder.path(name)),
  ],
  ["a folder", "records/bad.json", "is not a file", (name) => mkdirSync(folder.path(name))],
  ["a pipe", "records/bad.json", "is not a file", (name) => execFileSync("mkfifo", [folder.path(name)])],
  [
    "a file for everybody to write",
    "records/bad.json",
    "may be written by everybody",
    (name) => {
      folder.write(name, record())
      chmodSync(folder.path(name), 0o606)
    },
  ],
]

describe("a document's file that is", () => {
  it.each(damages)("%s is reported, and the rest loads", async (_, file, reason, make) => {
    const good = [aGrant("g"), await anIngress("i"), aRecord("r")]
    const storage = open()
    await commit(storage, good)
    make(file)
    folder.settle()
    for (const each of [storage, open()]) {
      const { unreadable } = await each.read(0)
      expect(await stored(each)).toEqual(good)
      expect(unreadable).toMatchObject([{ id: "bad" }])
      expect(unreadable[0]!.reason).toContain(reason)
      expect(unreadable[0]!.reason).toMatch(/^bad\.json/)
      expect(JSON.stringify(unreadable)).not.toContain(SECRET.slice(0, 20))
    }
  })

  it.each(damages)("%s is never overwritten and never removed", async (_, file, __, make) => {
    const storage = open()
    await commit(storage, [aRecord("r")])
    make(file)
    const left = () => {
      const { ino, size, mode, ctimeMs } = lstatSync(folder.path(file))
      return { ino, size, mode, ctimeMs }
    }
    const before = left()
    const kind = file.startsWith("records") ? "record" : file.startsWith("grants") ? "grant" : "ingress"
    const bad = { record: aRecord("bad"), grant: aGrant("bad"), ingress: await anIngress("bad") }[kind]
    await expect(commit(storage, [aRecord("s"), bad])).rejects.toMatchObject({
      _tag: "DocumentRefused",
      kind,
      id: "bad",
    })
    await expect(commit(open(), [aRecord("s")], [{ kind, id: "bad" }])).rejects.toMatchObject({
      _tag: "DocumentRefused",
    })
    expect(await stored(storage)).toEqual([aRecord("r")])
    await commit(storage, [aGrant("t"), aRecord("r", "10.0.0.6")])
    expect(left()).toEqual(before)
  })

  it.skipIf(!isRoot)("another user's is reported", async () => {
    folder.write("records/bad.json", record())
    chownSync(folder.path("records/bad.json"), 65_534, 65_534)
    const { documents, unreadable } = await open().read(0)
    expect([documents, unreadable[0]?.reason]).toEqual([[], "bad.json belongs to another user"])
  })

  it("of a name that is not an id is reported by it, without what a terminal would obey", async () => {
    await commit(open(), [aRecord("r")])
    for (const name of [
      "Bad.json",
      "a\u001b[31m.json",
      ".json",
      ".hidden.json",
      "a.json~",
      "README",
      "ä.json",
      `${"a".repeat(241)}.json`,
    ]) {
      folder.write(`records/${name}`, record())
    }
    const { documents, unreadable } = await open().read(0)
    expect(documents).toEqual([aRecord("r")])
    const reasons = unreadable.map(({ reason }) => reason).toSorted()
    expect(reasons).toEqual(
      ["?.json", "Bad.json", "a?[31m.json", `${"a".repeat(241)}.json`].map(
        (name) => `${name} has a name that is not an id`,
      ),
    )
    expect(JSON.stringify(unreadable)).not.toContain("\\u001b")
  })
})

describe("a storage's folder", () => {
  it.each(["ingresses", "grants", "backups"])("that leads elsewhere is refused: %s", async (name) => {
    mkdirSync(folder.path("elsewhere"))
    symlinkSync(folder.path("elsewhere"), folder.path(name))
    await expect(open().read(0)).rejects.toMatchObject({ _tag: "StorageUnusable", path: folder.path(name) })
    await expect(commit(open(), [aRecord("a")])).rejects.toMatchObject({ reason: "is not a folder" })
    expect(folder.list("elsewhere").filter((each) => each.endsWith(".json"))).toEqual([])
  })

  it.each(["", "records"])("that everybody may write to is refused: %j", async (name) => {
    await commit(open(), [aRecord("a")])
    chmodSync(folder.path(name), 0o707)
    await expect(open().read(0)).rejects.toMatchObject({ reason: "may be written to by everybody" })
  })

  it.skipIf(!isRoot)("of another user is refused", async () => {
    await commit(open(), [aRecord("a")])
    chownSync(folder.path("records"), 65_534, 65_534)
    await expect(open().read(0)).rejects.toMatchObject({ reason: "belongs to another user" })
  })

  it("may be a link of the operator's itself", async () => {
    mkdirSync(folder.path("real"))
    symlinkSync(folder.path("real"), folder.path("link"))
    await commit(fileStorage(folder.path("link")), [aRecord("a")])
    expect(folder.list("real/records")).toEqual(["a.json"])
  })
})

describe("a text of any kind", () => {
  it("is a document of its id or has a reason, and never more", async () => {
    const fields = fc.constantFrom(
      "id",
      "name",
      "owner",
      "rules",
      "match",
      "target",
      "type",
      "content",
      "to",
      "created_at",
      "__proto__",
    )
    const value = fc.letrec((tie) => ({
      any: fc.oneof(
        { maxDepth: 4 },
        fc.constantFrom("x", "A", "2030-01-01T00:00:00Z", 0, null, true),
        fc.string(),
        tie("list"),
        tie("object"),
      ),
      list: fc.array(tie("any"), { maxLength: 3 }),
      object: fc.dictionary(fc.oneof(fields, fc.string()), tie("any"), { maxKeys: 7 }),
    })).any
    const text = fc.oneof(
      fc.string(),
      value.map((each) => JSON.stringify(each)),
    )
    await fc.assert(
      fc.asyncProperty(fc.constantFrom("ingress", "grant", "record"), text, async (kind, each) => {
        const { document, reason } = await decodeDocument(kind, "x", each)
        const found =
          document === undefined ? reason.replace(/^[\w.… ]+$/, "a reason") : `${document.kind} ${document.id}`
        expect(["a reason", `${kind} x`]).toContain(found)
      }),
      { numRuns: 1_000 },
    )
  })
})
