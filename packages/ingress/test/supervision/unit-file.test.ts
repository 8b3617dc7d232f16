import { spawnSync } from "node:child_process"
import { mkdtemp, mkdir, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { unitFile } from "../../src/supervision.ts"
import type { UnitService } from "../../src/supervision.ts"

let folder: string
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "unit-"))))
afterEach(() => rm(folder, { recursive: true }))

/** Whatever one of the formats has a meaning for. */
const words = [
  "",
  "a b",
  "it's",
  'say "no"',
  "'\"'\"'",
  "back\\slash\\",
  "\\x41\\n",
  "50% %(ENV_HOME)s %h %%",
  "$HOME ${HOME} $$ `id` $(id)",
  "a ;b #c",
  "; #",
  "*?[a]{b}~|&<>()!",
  "--flag=ü…",
]
const service: UnitService = {
  name: "my-front",
  description: 'Envoy 100% "front"; # of $HOME',
  command: process.execPath,
  args: ["-p", "JSON.stringify([process.argv.slice(1), process.env.A])", "--", ...words],
  environment: { A: "x 'y' \"z\" \\ %h $HOME ;#" },
  workingDirectory: "/",
}
const forSupervisord = { ...service, environment: { A: "x %(ENV_HOME)s $HOME;#,=y" } }

const write = async (kind: Parameters<typeof unitFile>[0], given: UnitService): Promise<string> => {
  const { path, text, mode } = unitFile(kind, given)
  const file = join(folder, path)
  await mkdir(dirname(file), { recursive: true })
  await writeFile(file, text, { mode })
  return file
}

describe("a unit", () => {
  it.each(["supervisord", "systemd", "s6"] as const)("of %s is what it is, byte for byte", async (kind) => {
    const given: UnitService = {
      ...(kind === "supervisord" ? forSupervisord : service),
      command: "/usr/bin/envoy",
      user: "envoy",
      workingDirectory: "/var/lib/envoy",
      logFile: "/var/log/envoy.log",
    }
    await expect(unitFile(kind, given).text).toMatchFileSnapshot(`golden/${kind}.txt`)
  })

  it("of s6 is a script that becomes the process, with every word as it was", async () => {
    const { status, stdout } = spawnSync(await write("s6", service), { encoding: "utf8", env: { PATH: "" } })
    expect([status, JSON.parse(stdout)]).toEqual([0, [words, service.environment!["A"]]])
  })

  it("of systemd is accepted by systemd-analyze", async (ctx) => {
    if (spawnSync("systemd-analyze", ["--version"]).error) ctx.skip("no systemd is installed")
    const file = await write("systemd", service)
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", "--man=no", file], { encoding: "utf8" })
    expect([status, stderr.split("\n").filter((line) => line.includes("my-front"))]).toEqual([0, []])
  })

  it("of supervisord has every word as it was, read as supervisord reads it", async (ctx) => {
    if (spawnSync("python3", ["--version"]).error) ctx.skip("no python3 is installed")
    const file = await write("supervisord", forSupervisord)
    // The parser and the splitter that supervisor's options.py uses, and its expansion of %(name)s.
    const program = `
import configparser, json, shlex, sys
try:
    from supervisor.options import UnhosedConfigParser as Parser
    from supervisor.datatypes import dict_of_key_value_pairs as pairs
    parser = Parser()
except ImportError:
    parser = configparser.RawConfigParser(inline_comment_prefixes=(";", "#"), strict=False)
    def pairs(text):
        lexer = shlex.shlex(text)
        lexer.wordchars += "/.+-():"
        tokens = list(lexer)
        return {tokens[i]: tokens[i + 2].strip("'\\"") for i in range(0, len(tokens), 4)}
parser.read(sys.argv[1])
section = dict(parser.items("program:my-front"))
expand = lambda text: text % {}
print(json.dumps([shlex.split(expand(section["command"])), pairs(expand(section["environment"]))]))`
    const { stdout, stderr } = spawnSync("python3", ["-c", program, file], { encoding: "utf8" })
    expect(stderr).toBe("")
    expect(JSON.parse(stdout)).toEqual([[service.command, ...service.args!], forSupervisord.environment])
  })

  it.each<[Partial<UnitService>, RegExp]>([
    [{ name: "a/b" }, /name/],
    [{ command: "envoy" }, /absolute path/],
    [{ command: "/bin/a b" }, /absolute path/],
    [{ args: ["a\nExecStartPre=/bin/x"] }, /control characters/],
    [{ args: ["a\0"] }, /control characters/],
    [{ description: "a\nb" }, /control characters/],
    [{ description: "a\\" }, /backslashes/],
    [{ environment: { "A=B": "c" } }, /variables/],
    [{ environment: { A: "b\r" } }, /variables/],
    [{ user: "root;x" }, /user/],
    [{ logFile: "/a%h" }, /absolute path/],
  ])("is refused with %j", (wrong, message) => {
    for (const kind of ["supervisord", "systemd", "s6"] as const) {
      expect(() => unitFile(kind, { ...service, ...wrong })).toThrow(message)
    }
  })

  it("of supervisord is refused with a variable that supervisord cannot quote", () => {
    for (const value of ["'", '"', "\\", "a ;b"]) {
      expect(() => unitFile("supervisord", { ...service, environment: { A: value } })).toThrow(/environment\.A/)
    }
    expect(() => unitFile("upstart" as "systemd", service)).toThrow(/supervisord or systemd or s6/)
  })
})
