import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { runExecutable } from "../../src/commands/run-executable.ts"

const command = join(import.meta.dirname, "../../src/command.ts")
let folder: string
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "executable-"))))
afterEach(() => rm(folder, { recursive: true }))

/** A package as npm would install it, with a script as its executable. */
const install = async (script: string): Promise<void> => {
  const place = join(folder, "node_modules/@project-ingress/ingress")
  await mkdir(place, { recursive: true })
  const bin = { "project-ingress-generate": "./run.js" }
  await writeFile(
    join(place, "package.json"),
    JSON.stringify({ name: "@project-ingress/ingress", type: "module", bin }),
  )
  await writeFile(join(place, "run.js"), script)
}

const start = (...args: string[]) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", command, ...args], { cwd: folder })
  const out = { text: "", errors: "" }
  child.stdout.on("data", (chunk: Buffer) => void (out.text += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => void (out.errors += chunk.toString()))
  return { child, out, closed: once(child, "close") as Promise<[number | null, NodeJS.Signals | null]> }
}

describe("project-ingress generate", () => {
  it("runs the executable of the package that the working directory has, with its arguments, input, output and exit code", async () => {
    await install(`
      const chunks = []
      process.stdin.on("data", (chunk) => chunks.push(chunk)).on("end", () => {
        console.log(JSON.stringify([process.argv.slice(2), Buffer.concat(chunks).toString()]))
        console.error("to stderr")
        process.exitCode = 42
      })`)
    const { child, out, closed } = start("generate", "projects", "--front", "caddy", "--help")
    child.stdin.end("input")
    expect(await closed).toEqual([42, null])
    expect(JSON.parse(out.text)).toEqual([["projects", "--front", "caddy", "--help"], "input"])
    expect(out.errors).toBe("to stderr\n")
  })

  it("passes signals on, and ends as the executable did", async () => {
    await install(`
      process.on("SIGTERM", () => { console.log("terminated"); process.exit(7) })
      setInterval(() => {}, 1_000)
      console.log("ready")`)
    const { child, out, closed } = start("generate")
    await expect.poll(() => out.text).toContain("ready")
    child.kill("SIGTERM")
    expect(await closed).toEqual([7, null])
    expect(out.text).toContain("terminated")
  })

  it("ends by the signal that ended the executable", async () => {
    await install(`process.kill(process.pid, "SIGKILL")`)
    const { closed } = start("generate")
    expect(await closed).toEqual([null, "SIGKILL"])
  })

  it("says in one sentence what to install", async () => {
    // Called by itself: in this repository the command would find the package's sources.
    const missing = runExecutable({
      package: "@project-ingress/ingress",
      executable: "x",
      args: [],
      from: [join(folder, "x")],
    })
    await expect(missing).rejects.toMatchObject({
      name: "BadArgument",
      message: "this command is in another package, which is not installed: npm install @project-ingress/ingress",
    })
  })

  it("is in the help", async () => {
    const { out, closed } = start("--help")
    expect((await closed)[0]).toBe(0)
    expect(out.text).toContain("project-ingress generate <folder>")
  })
})
