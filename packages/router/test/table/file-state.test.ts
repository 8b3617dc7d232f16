import { spawn } from "node:child_process"
import { once } from "node:events"
import { chmod, mkdir, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from "node:fs/promises"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { fileState } from "../../src/stores/file-state.ts"
import { httpState } from "../../src/stores/table.ts"

let folder: string
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "ingress-state-"))))
afterAll(() => rm(folder, { recursive: true, force: true }))

const inFolder = async (name: string): Promise<string> => {
  const own = join(folder, name)
  await mkdir(own)
  return join(own, "routes.packed")
}
const bytes = (text: string) => new TextEncoder().encode(text)
const textOf = async (state: ReturnType<typeof fileState>) =>
  new TextDecoder().decode((await state.load()) as Uint8Array)

describe("a state in a file", () => {
  it("is nothing at first, then what was saved last, and nobody else's to read", async () => {
    const path = await inFolder("plain")
    const state = fileState(path)
    expect(await state.load()).toBeUndefined()
    await state.save(bytes("one"))
    await state.save(bytes("two"))
    expect(await textOf(fileState(path))).toBe("two")
    expect((await stat(path)).mode & 0o777).toBe(0o600)
    expect(await readdir(join(path, ".."))).toEqual(["routes.packed"])
  })

  it("is only this user's to read, although the file was everybody's before", async () => {
    const path = await inFolder("open")
    await writeFile(path, "old")
    await chmod(path, 0o666)
    await fileState(path).save(bytes("new"))
    expect((await stat(path)).mode & 0o777).toBe(0o600)
  })

  it("rejects where it cannot be written or read, and leaves nothing behind", async () => {
    await expect(fileState(join(folder, "missing", "x")).save(bytes("one"))).rejects.toMatchObject({ code: "ENOENT" })
    const path = await inFolder("folder")
    await mkdir(path)
    await writeFile(join(path, "in it"), "")
    await expect(fileState(path).load()).rejects.toMatchObject({ code: "EISDIR" })
    await expect(fileState(path).save(bytes("one"))).rejects.toMatchObject({ code: "EISDIR" })
    expect(await readdir(join(path, ".."))).toEqual(["routes.packed"])
    expect(() => fileState("")).toThrow(new TypeError("fileState: path must be a non-empty string"))
  })

  it("removes what a killed process has left, but nothing that another one is writing", async () => {
    const path = await inFolder("leftovers")
    const [old, young, other] = [`${path}.abcdefgh.tmp`, `${path}.bcdefghj.tmp`, `${path}.notes.tmp`]
    for (const each of [old, young, other]) await writeFile(each, "")
    const longAgo = Date.now() / 1000 - 3_600
    for (const each of [old, other]) await utimes(each, longAgo, longAgo)
    await fileState(path).save(bytes("one"))
    expect((await readdir(join(path, ".."))).toSorted()).toEqual(
      ["routes.packed", "routes.packed.bcdefghj.tmp", "routes.packed.notes.tmp"].toSorted(),
    )
  })

  it("situation 20: a process that is killed while it saves leaves the old or the new one, never a part", async () => {
    const path = await inFolder("killed")
    let wereWriting = 0
    for (let round = 0; round < 12; round++) {
      const main = fileURLToPath(new URL("file-state-main.ts", import.meta.url))
      const child = spawn(process.execPath, ["--conditions=@project-ingress/source", main, path], {
        stdio: ["ignore", "pipe", "inherit"],
      })
      const ended = once(child, "exit")
      let saves = 0
      for await (const _ of createInterface({ input: child.stdout })) if (++saves === 3 + (round % 3)) break
      // As soon as the next save has begun to write, and a little later each time.
      while (!(await readdir(join(path, ".."))).some((name) => name.endsWith(".tmp")));
      for (let at = 0; at < round; at++) await stat(path)
      child.kill("SIGKILL")
      await ended
      const names = await readdir(join(path, ".."))
      wereWriting += Number(names.some((name) => name.endsWith(".tmp")))
      for (const name of names) if (name.endsWith(".tmp")) await rm(join(path, "..", name))
      const saved = await readFile(path)
      expect(saved).toHaveLength(24_000_000)
      expect(saved.every((byte) => byte === saved[0])).toBe(true)
    }
    expect(wereWriting).toBeGreaterThan(0)
  })
})

describe("a state over HTTP", () => {
  it("is what a server publishes: 404 is none yet, anything else is an error", async () => {
    let status = 404
    const server = createServer((_, response) => response.writeHead(status).end("image")).listen(0, "127.0.0.1")
    await once(server, "listening")
    const state = httpState(`http://127.0.0.1:${(server.address() as AddressInfo).port}/routes.packed`)
    try {
      expect(await state.load()).toBeUndefined()
      status = 200
      expect(new TextDecoder().decode((await state.load()) as Uint8Array)).toBe("image")
      status = 503
      await expect(state.load()).rejects.toThrow("httpState: the server responded with status 503")
      expect(state).not.toHaveProperty("save")
    } finally {
      server.close()
      server.closeAllConnections()
    }
  })
})
