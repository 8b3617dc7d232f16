import { chmodSync, renameSync, rmSync, writeFileSync } from "node:fs"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { fileStorage } from "../../src/storage/file/file-storage.ts"
import { aGrant, anIngress, aRecord } from "../../src/testing/storage/sample-documents.ts"
import { commit, follower, stored } from "../../src/testing/storage/storage-law.ts"
import { makeFolder } from "./folder.ts"

let folder: ReturnType<typeof makeFolder>
beforeEach(() => void (folder = makeFolder()))
afterEach(() => folder.remove())
const open = () => fileStorage(folder.root)

describe("a folder", () => {
  it("has one file for each document, for this user alone", async () => {
    const storage = fileStorage(folder.path("new/folder"))
    await commit(storage, [await anIngress("x1"), aGrant("g1"), aRecord("llm.example.com")])
    await storage.mark("caddy")
    expect(folder.list("new/folder")).toEqual([
      "applying",
      "backups",
      "grants",
      "ingresses",
      "lock",
      "records",
      "revision",
    ])
    const files = [
      "ingresses/x1.json",
      "grants/g1.json",
      "records/llm.example.com.json",
      "revision",
      "applying",
      "lock",
    ]
    expect(files.map((file) => folder.mode(`new/folder/${file}`))).toEqual(files.map(() => "600"))
    const folders = ["", "/ingresses", "/grants", "/records", "/backups", "/backups/ingresses"]
    expect(folders.map((each) => folder.mode(`new/folder${each}`))).toEqual(folders.map(() => "700"))
    expect(folder.json("new/folder/ingresses/x1.json")).toEqual({
      id: "x1",
      name: "my-api",
      version: 1,
      created_at: "2030-03-17T17:46:40.123Z",
      updated_at: "2030-03-17T17:46:40.124Z",
      rules: [{ match: { hostname: "api.example.com" }, target: { machine: "mach_1", port: 8080 } }],
    })
  })

  it("is loaded with the files of the ingress manager that had this layout first (4-35)", async () => {
    const legacy = {
      id: "tz4a98xxat96iws9zmbrgj3a",
      name: "my-ingress",
      rules: [
        { match: { hostname: "api.example.com", port: 0 }, target: { instance: "my-api", port: 8080 } },
        {
          match: { hostname: "{instance}.dev.example.com", port: 443 },
          target: { instance: "{instance}", port: 80 },
          tls: true,
          redirect_http: true,
          request_header_auth: { header: "X-Secret", value: "0123456789abcdefghijklmnopqrstuvwxyz" },
        },
      ],
      created_at: "2025-12-04T10:11:12.123456789+01:00",
    }
    folder.write(`ingresses/${legacy.id}.json`, JSON.stringify(legacy))
    chmodSync(folder.path(`ingresses/${legacy.id}.json`), 0o644)
    const storage = open()
    const { documents, unreadable, revision } = await storage.read(0)
    expect(unreadable).toEqual([])
    expect(documents).toMatchObject([
      {
        id: legacy.id,
        version: 1,
        createdAt: Date.parse("2025-12-04T09:11:12.123Z"),
        updatedAt: Date.parse("2025-12-04T09:11:12.123Z"),
        rules: [
          {
            match: { protocol: "http", hostname: { text: "api.example.com" } },
            targets: [{ machine: "my-api", port: 8080 }],
          },
          { redirectHttp: true, targets: [{ capture: "instance" }], requireHeader: { name: "x-secret" } },
        ],
      },
    ])
    expect(documents[0]).not.toHaveProperty("owner")
    expect(revision).toBeGreaterThan(0)
    // Once it is changed, it is a file of ours.
    await storage.commit({ ifRevision: revision, put: documents, remove: [] })
    expect(folder.mode(`ingresses/${legacy.id}.json`)).toBe("600")
    expect((await open().read(0)).documents).toEqual(documents)
  })
})

describe("a file that somebody edits", () => {
  it.each(["at once", "later"])("is a new revision at the next read of every process, %s", async (when) => {
    const [storage, other] = [open(), open()]
    await commit(storage, [aRecord("a"), aRecord("b")])
    const { revision } = await other.read(0)
    await storage.read(revision)
    if (when === "later") folder.settle()
    folder.edit("records/a.json", (text) => text.replace("10.0.0.5", "10.0.0.9"))
    folder.settle()
    const expected = {
      revision: revision + 1,
      whole: false,
      documents: [aRecord("a", "10.0.0.9")],
      removed: [],
      unreadable: [],
    }
    expect(await storage.read(revision)).toEqual(expected)
    expect(await other.read(revision)).toEqual(expected)
    expect(await storage.read(revision)).toEqual(expected)
    expect((await open().read(0)).revision).toBe(revision + 1)
  })

  it("while no process runs is in the first read of the next one, whatever that has read before", async () => {
    const revision = await commit(open(), [aRecord("a")])
    folder.edit("records/a.json", (text) => text.replace("10.0.0.5", "10.0.0.9"))
    expect(await open().read(revision)).toMatchObject({ whole: true, documents: [aRecord("a", "10.0.0.9")] })
  })

  it("is not overwritten by a commit that was decided before", async () => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a")])
    folder.edit("records/a.json", (text) => text.replace("10.0.0.5", "10.0.0.9"))
    const late = storage.commit({ ifRevision: revision, put: [aRecord("a", "10.0.0.7")], remove: [] })
    await expect(late).rejects.toMatchObject({ _tag: "RevisionConflict", revision: revision + 1 })
    expect(folder.json("records/a.json")["content"]).toBe("10.0.0.9")
  })

  it("may be made and removed, too", async () => {
    const storage = open()
    await commit(storage, [aRecord("a"), aRecord("b")])
    const reader = follower(storage)
    await reader.next()
    folder.write("records/c.json", folder.read("records/a.json").replace('"a"', '"c"'))
    rmSync(folder.path("records/b.json"))
    expect(await reader.next()).toEqual([aRecord("a"), aRecord("c")])
  })

  it("counts as it was while it is half written, and is reported once it stays so", async () => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a")])
    await storage.read(0)
    folder.write("records/a.json", '{"id":')
    folder.isYoung("records/a.json")
    expect(await storage.read(revision)).toMatchObject({ revision, documents: [], removed: [], unreadable: [] })
    folder.settle()
    expect(await storage.read(revision)).toEqual({
      revision: revision + 1,
      whole: false,
      documents: [],
      removed: [{ kind: "record", id: "a" }],
      unreadable: [{ kind: "record", id: "a", reason: "a.json: is not JSON" }],
    })
    folder.write(
      "records/a.json",
      JSON.stringify({ id: "a", type: "A", content: "10.0.0.8", created_at: "2030-03-17T17:46:40.123Z" }),
    )
    expect(await stored(storage)).toEqual([aRecord("a", "10.0.0.8")])
  })
})

describe("a backup", () => {
  it("is kept of the last three versions of a file, and of one that is removed", async () => {
    const storage = open()
    for (const last of [1, 2, 3, 4, 5]) await commit(storage, [aRecord("a", `10.0.0.${last}`), aRecord("b")])
    await commit(storage, [], [{ kind: "record", id: "a" }])
    const backups = folder.list("backups/records").filter((name) => name.startsWith("a~"))
    expect(backups.map((name) => [name, folder.json(`backups/records/${name}`)["content"]])).toEqual([
      ["a~1.json", "10.0.0.5"],
      ["a~2.json", "10.0.0.4"],
      ["a~3.json", "10.0.0.3"],
    ])
    expect(folder.list("records")).toEqual(["b.json"])
    expect(await stored(open())).toEqual([aRecord("b")])
  })

  it("is restored by hand, by moving it back", async () => {
    const storage = open()
    await commit(storage, [aRecord("a")])
    await commit(storage, [], [{ kind: "record", id: "a" }])
    renameSync(folder.path("backups/records/a~1.json"), folder.path("records/a.json"))
    expect(await stored(storage)).toEqual([aRecord("a")])
  })

  it.each([0, 1, 5])("is kept as often as is said: %i", async (backups) => {
    const storage = fileStorage(folder.root, { backups })
    for (const last of [1, 2, 3, 4, 5, 6, 7]) await commit(storage, [aRecord("a", `10.0.0.${last}`)])
    expect(folder.list("backups/records")).toEqual(Array.from({ length: backups }, (_, at) => `a~${at + 1}.json`))
  })
})

describe("a storage's own files", () => {
  it("that are gone fail reads, so that a lost disk is not the end of all ingresses", async () => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a")])
    renameSync(folder.root, `${folder.root}-away`)
    try {
      await expect(storage.read(revision)).rejects.toThrow("ENOENT")
      await expect(storage.commit({ ifRevision: revision, put: [], remove: [] })).rejects.toThrow("ENOENT")
    } finally {
      renameSync(`${folder.root}-away`, folder.root)
    }
    expect(await stored(storage)).toEqual([aRecord("a")])
    rmSync(folder.path("revision"))
    await expect(storage.read(revision)).rejects.toMatchObject({ _tag: "StorageUnusable", reason: /is gone/ })
  })

  it("that are of an older state, as a restored copy has, are a new revision", async () => {
    const storage = open()
    await commit(storage, [aRecord("a")])
    await commit(storage, [aRecord("b")])
    const revision = await commit(storage, [aRecord("c")])
    folder.write("revision", "1\n")
    rmSync(folder.path("records/b.json"))
    expect(await storage.read(revision)).toMatchObject({ revision: revision + 1, removed: [{ id: "b" }] })
  })

  it.each([
    ["revision", "many\n", "is not a number: remove it"],
    ["revision", "-1", "is not a number: remove it"],
    ["journal.json", "{", "is not a journal of this storage: move it away"],
    [
      "journal.json",
      JSON.stringify({ revision: 9, put: [{ kind: "record", id: "../x", written: ".aaaaaaaaaaaa.tmp" }], remove: [] }),
      "is not a journal of this storage: move it away",
    ],
    [
      "journal.json",
      JSON.stringify({ revision: 9, put: [{ kind: "record", id: "x", written: "../../x" }], remove: [] }),
      "is not a journal of this storage: move it away",
    ],
    [
      "journal.json",
      JSON.stringify({ revision: 9, put: [], remove: [{ kind: "__proto__", id: "x" }] }),
      "is not a journal of this storage: move it away",
    ],
  ])("are looked at before anything is done: %s %s", async (name, content, reason) => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a")])
    folder.write(name, content)
    for (const each of [storage, open()]) {
      await expect(each.read(revision)).rejects.toMatchObject({
        _tag: "StorageUnusable",
        path: folder.path(name),
        reason,
      })
      await expect(commit(each, [])).rejects.toMatchObject({ _tag: "StorageUnusable" })
    }
    expect(folder.read(name)).toBe(content)
    rmSync(folder.path(name))
    expect(await stored(open())).toEqual([aRecord("a")])
  })

  it("say what a commit is that is decided and could not be finished: the next call finishes it", async () => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a"), aRecord("b")])
    // No backup can be made.
    rmSync(folder.path("backups/records"), { recursive: true })
    writeFileSync(folder.path("backups/records"), "")
    const put = [aRecord("a", "10.0.0.9"), aRecord("b", "10.0.0.9")]
    expect(await storage.commit({ ifRevision: revision, put, remove: [] })).toBe(revision + 1)
    await expect(storage.read(revision)).rejects.toThrow("ENOTDIR")
    rmSync(folder.path("backups/records"))
    expect(await stored(open())).toEqual(put)
    expect(await storage.read(revision)).toMatchObject({ revision: revision + 1, documents: put })
  })

  it("are written by nobody whose commit fails before it is decided", async () => {
    const storage = open()
    const revision = await commit(storage, [aRecord("a")])
    writeFileSync(folder.path("journal.json.tmp"), "")
    rmSync(folder.path("grants"), { recursive: true })
    await expect(
      storage.commit({ ifRevision: revision, put: [aRecord("b"), aGrant("g")], remove: [] }),
    ).rejects.toThrow("ENOENT")
    expect(folder.list("records")).toEqual(["a.json"])
    expect(await stored(open())).toEqual([aRecord("a")])
  })
})

describe("options", () => {
  it.each<[unknown, object, string]>([
    ["", {}, "fileStorage: folder must be a path"],
    ["a\0b", {}, "fileStorage: folder must be a path"],
    [undefined, {}, "fileStorage: folder must be a path"],
    ["/tmp/x", { backup: 3 }, "backup"],
    ["/tmp/x", { backups: -1 }, "backups"],
    ["/tmp/x", { lockTimeoutMs: "1" }, "lockTimeoutMs"],
  ])("are checked when they are given: %j %j", (path, options, message) => {
    expect(() => fileStorage(path as string, options)).toThrow(message)
  })

  it("of a note are checked", async () => {
    for (const note of [1, "a\0", "\ud800", "x".repeat(65_537)]) {
      await expect(open().mark(note as string)).rejects.toThrow("mark: the note must be a text")
    }
  })
})
