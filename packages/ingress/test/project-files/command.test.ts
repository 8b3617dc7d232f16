/** The command as a process, over real folders. */
import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { runGenerate } from "../../src/generate.ts"
import { COMPOSE } from "./folder.ts"
import { exporters } from "./test-exporters.ts"

const main = join(import.meta.dirname, "generate-main.ts")
let place: string
beforeEach(async () => void (place = await mkdtemp(join(tmpdir(), "generate-"))))
afterEach(() => rm(place, { recursive: true }))

const put = async (files: Readonly<Record<string, string | Uint8Array>>): Promise<void> => {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(place, path)), { recursive: true })
    await writeFile(join(place, path), text)
  }
}
const read = (path: string): Promise<string> => readFile(join(place, path), "utf8")

/** As a process. */
const start = (...args: readonly string[]) => {
  const child = spawn(process.execPath, ["--conditions=@project-ingress/source", main, ...args], { cwd: place })
  const out = { stdout: "", stderr: "" }
  child.stdout.on("data", (chunk: Buffer) => void (out.stdout += chunk.toString()))
  child.stderr.on("data", (chunk: Buffer) => void (out.stderr += chunk.toString()))
  const closed = once(child, "close") as Promise<[number | null, NodeJS.Signals | null]>
  return { child, out, closed }
}
/** In this process, which is faster. */
const run = async (args: readonly string[], environment: Readonly<Record<string, string>> = {}) => {
  const out = { stdout: "", stderr: "" }
  const code = await runGenerate(args, {
    exporters,
    environment,
    workingDirectory: place,
    stdout: { write: (text: string) => void (out.stdout += text) },
    stderr: { write: (text: string) => void (out.stderr += text) },
  })
  return { code, ...out }
}
const json = (...args: string[]) => run(["projects", "--front", "json", "--out", "out", ...args])

const shop = {
  "projects/shop/docker-compose.yml": COMPOSE,
  "projects/shop/itsup-project.yml":
    "ingress:\n  - {service: web, domain: shop.example.com}\n  - {service: db, router: tcp, hostport: 5432}\n",
  "projects/itsup.yml": "traefikDomain: traefik.example.com\nrouterIP: 192.168.1.2\n",
  "projects/traefik.yml": "log: {level: DEBUG}\n",
}

describe("project-ingress generate", () => {
  it("shows a plan, writes it with --apply, and then has nothing to do", async () => {
    await put(shop)
    const plan = await json()
    expect(plan).toMatchObject({ code: 1, stderr: "" })
    expect(plan.stdout).toContain("--- /dev/null\n+++ dynamic/shop.json\n")
    expect(plan.stdout).toMatch(/\nwould be: 3 written, 0 removed, 0 unchanged\n$/)
    await expect(stat(join(place, "out"))).rejects.toThrow("ENOENT")

    const applied = await json("--apply")
    expect(applied.code).toBe(0)
    expect(applied.stdout).toMatch(/\n3 written, 0 removed, 0 unchanged\n$/)
    expect(JSON.parse(await read("out/static.json"))).toEqual({
      settings: { traefikDomain: "traefik.example.com", routerIP: "192.168.1.2" },
      overrides: { log: { level: "DEBUG" } },
    })
    expect(await read("out/upstream/shop/docker-compose.yml")).toContain("json.shop.web=shop.example.com")

    // 3-21: no file is written a second time.
    const before = await Promise.all((await readdir(join(place, "out"))).map((name) => stat(join(place, "out", name))))
    const again = await json("--apply")
    expect(again).toMatchObject({ code: 0, stdout: "0 written, 0 removed, 3 unchanged\n" })
    const after = await Promise.all((await readdir(join(place, "out"))).map((name) => stat(join(place, "out", name))))
    expect(after.map(({ ino, mtimeMs }) => [ino, mtimeMs])).toEqual(before.map(({ ino, mtimeMs }) => [ino, mtimeMs]))

    await rm(join(place, "projects/shop"), { recursive: true })
    expect(await json("--json")).toMatchObject({ code: 1 })
    const gone = await json("--apply")
    expect(gone.stdout).toMatch(/\n0 written, 2 removed, 1 unchanged\n$/)
  })

  it("stops at a file that was changed by hand, with its name, and goes over it with --overwrite", async () => {
    await put(shop)
    await json("--apply")
    await writeFile(join(place, "out/dynamic/shop.json"), "[]\n")
    await put({ "projects/shop/itsup-project.yml": "ingress:\n  - {service: db, router: tcp, hostport: 1}\n" })
    const stopped = await json("--apply")
    expect(stopped).toMatchObject({
      code: 2,
      stdout: "",
      stderr:
        "project-ingress generate: dynamic/shop.json was changed by hand after it was generated: --overwrite replaces it\n",
    })
    expect(await read("out/dynamic/shop.json")).toBe("[]\n")
    expect((await json("--apply", "--overwrite")).code).toBe(0)
    expect(JSON.parse(await read("out/dynamic/shop.json"))).toHaveLength(1)
  })

  it("names all that is wrong before it writes anything", async () => {
    await put({
      ...shop,
      "projects/bad/itsup-project.yml": "host: h\ningress:\n  - {domain: a.example.com, prot: 1}\n",
      "projects/empty/notes.txt": "",
    })
    const refused = await json("--apply")
    expect(refused).toMatchObject({ code: 3, stdout: "" })
    expect(refused.stderr.split("\n")).toEqual([
      "empty: must hold one of docker-compose.yml, itsup-project.yml, ingress.yml, ingress.yaml, ingress.json",
      "bad/itsup-project.yml:3:29: ingress.0.prot must be absent: there is no such field",
      "project-ingress generate: 2 problems, nothing was written",
      "",
    ])
    await expect(stat(join(place, "out"))).rejects.toThrow("ENOENT")
    const asJson = await json("--json")
    expect(asJson.code).toBe(3)
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      problems: [{ file: "empty" }, { file: "bad/itsup-project.yml", line: 3, column: 29, key: "ingress.0.prot" }],
    })
  })

  it("reads no file outside of the folder, none that is no text, and waits for no pipe", async () => {
    await put({
      ...shop,
      secret: "host: h\n",
      "projects/latin/ingress.yml": Uint8Array.of(0x68, 0xe4),
      "projects/big/ingress.yml": "#".repeat(262_145),
      "projects/shop2/docker-compose.yaml": "",
    })
    await mkdir(join(place, "projects/folder/ingress.yml"), { recursive: true })
    await mkdir(join(place, "projects/link"))
    await mkdir(join(place, "outside"))
    await symlink(join(place, "secret"), join(place, "projects/link/ingress.yml"))
    await symlink(join(place, "outside"), join(place, "projects/way-out"))
    await symlink(join(place, "nowhere"), join(place, "projects/dangling"))
    await symlink(join(place, "projects/shop"), join(place, "projects/alias"))
    // Not even root can read that.
    await mkdir(join(place, "projects/loop"))
    await symlink(join(place, "projects/loop/ingress.yml"), join(place, "projects/loop/ingress.yml"))
    const { code, stderr } = await json()
    expect(code).toBe(3)
    expect(stderr.split("\n").slice(0, -2)).toEqual([
      "big/ingress.yml: must be of at most 262144 bytes",
      "dangling: cannot be read: ENOENT",
      "folder/ingress.yml: must be a file",
      "latin/ingress.yml: must be UTF-8",
      "link/ingress.yml: must not be a link that leaves the folder",
      "loop/ingress.yml: cannot be read: ELOOP",
      "shop2/docker-compose.yaml: must be called docker-compose.yml",
      "shop2: must hold one of docker-compose.yml, itsup-project.yml, ingress.yml, ingress.yaml, ingress.json",
      "way-out: must not be a link that leaves the folder",
      // The link inside is a project like any other.
      "shop/itsup-project.yml:2:5: ingress.0 must be free: shop.example.com on port 443 is in use by alias",
      "shop/itsup-project.yml:3:5: ingress.1 must be free: this on port 5432 is in use by alias",
    ])
  })

  it.each<[string[], string]>([
    [[], "one folder of project files: see --help"],
    [["nowhere", "--front", "json"], "the folder of projects cannot be read: ENOENT"],
    [["projects/itsup.yml", "--front", "json"], "the folder of projects cannot be read: ENOTDIR"],
    [["projects", "--front", "nginx"], "--front must be one of zone, json, needy, picky, many"],
    [["projects", "--front", "picky"], "picky: exportPicky: overrides.a is a list"],
    [["projects", "--front", "__proto__"], "--front must be one of zone"],
    [["projects", "--front", "json", "--frnt"], "Unknown option '--frnt'"],
    [["projects", "--front", "json", "--out", "projects/out"], "--out must not be in the folder of projects"],
    [["projects", "--front", "zone", "--overrides", "x"], "--overrides has no effect: zone has none"],
    [["projects", "--front", "json", "--overrides", "x"], "--overrides cannot be read: ENOENT"],
    [
      ["projects", "--unit", "systemd", "--front", "json"],
      "--unit only prints: a folder of project files has no effect",
    ],
    [["--unit", "upstart", "--front", "json"], "--unit must be one of systemd"],
    [["projects", "--front", "needy"], "needy needs LETSENCRYPT_EMAIL and TRAEFIK_ADMIN in the environment"],
  ])("refuses %j with 3", async (args, message) => {
    await put(shop)
    const { code, stdout, stderr } = await run(args)
    expect([code, stdout]).toEqual([3, ""])
    expect(stderr).toContain(`project-ingress generate: ${message}`)
    expect(stderr).not.toContain("    at ")
  })

  it("3-19: names what is missing, in the environment and in itsup.yml, and never shows a value", async () => {
    const { "projects/itsup.yml": _, ...rest } = shop
    await put(rest)
    const args = ["projects", "--front", "needy"]
    expect((await run(args, { LETSENCRYPT_EMAIL: "a@example.com" })).stderr).toContain(
      "needy needs TRAEFIK_ADMIN in the environment: set it",
    )
    expect((await run(args, { LETSENCRYPT_EMAIL: "${X}", TRAEFIK_ADMIN: "hunter2hunter2" })).stderr).toContain(
      "LETSENCRYPT_EMAIL is a placeholder itself",
    )
    const { code, stderr } = await run(args, { LETSENCRYPT_EMAIL: "a@example.com", TRAEFIK_ADMIN: "hunter2hunter2" })
    expect([code, stderr]).toEqual([
      3,
      "itsup.yml: traefikDomain must be present: the front needs it\nproject-ingress generate: 1 problem, nothing was written\n",
    ])
  })

  it("keeps secrets out of the diff, and in files of the mode 0600", async () => {
    const value = `hunter2"'$\\${"x".repeat(32)}`
    await put({
      "projects/api/ingress.json": JSON.stringify({
        name: "api",
        rules: [
          {
            match: { hostname: "api.example.com" },
            target: { url: "http://10.0.0.1:80" },
            requireHeader: { name: "x-key", value },
          },
        ],
      }),
    })
    const plan = await json("--apply")
    expect(plan.code).toBe(0)
    expect(plan.stdout).toContain('"value": "[secret]"')
    expect(plan.stdout).not.toContain("hunter2")
    expect((await stat(join(place, "out/dynamic/api.json"))).mode & 0o777).toBe(0o600)
  })

  it("takes overrides from a file that is given, and refuses placeholders in them", async () => {
    await put({ ...shop, "own.yml": "a: {b: [1]}\n", "bad.yml": "email: ${EMAIL}\n" })
    await json("--apply", "--overrides", "own.yml")
    expect(JSON.parse(await read("out/static.json"))).toMatchObject({ overrides: { a: { b: [1] } } })
    expect((await json("--overrides", "bad.yml")).stderr).toContain(
      "bad.yml:1:1: email must be free of placeholders: ${EMAIL}",
    )
  })

  it("makes the records of a zone, and prints a unit", async () => {
    await put(shop)
    expect((await run(["projects", "--front", "zone", "--apply"])).code).toBe(0)
    expect(await read("generated/zone/ingress.records")).toContain("shop.example.com. 300 IN A 192.168.1.2\n")
    expect(await run(["--unit", "systemd", "--front", "json", "--out", "x"])).toMatchObject({
      code: 0,
      stdout: `[Unit]\nDescription=json\n# ${join(place, "x")}\n`,
    })
    const { code, stdout } = await run(["--help"])
    expect([code, stdout]).toEqual([0, expect.stringContaining("project-ingress-generate")])
  })

  it("is a process with an exit code, and finishes what a killed one has begun", async () => {
    await put({ "projects/itsup.yml": "traefikDomain: a.example.com\n" })
    const args = ["projects", "--front", "many", "--out", "out", "--apply"]
    const { child, closed } = start(...args)
    const written = () =>
      readdir(join(place, "out")).then(
        (names) => names.length,
        () => 0,
      )
    await expect.poll(written, { interval: 1 }).toBeGreaterThan(5)
    child.kill("SIGKILL")
    await closed
    const rest = start(...args)
    expect([await rest.closed, rest.out.stderr]).toEqual([[0, null], ""])
    const names = (await readdir(join(place, "out"))).filter((name) => /^f\d+$/.test(name))
    expect(names).toHaveLength(200)
    expect((await run(args)).stdout).toBe("0 written, 0 removed, 200 unchanged\n")
    const refused = start("nowhere", "--front", "many")
    expect([await refused.closed, refused.out.stderr]).toEqual([[3, null], expect.stringContaining("ENOENT")])
  })

  it("writes all of it, without a complaint, although nobody reads what it prints", async () => {
    await put({ "projects/itsup.yml": "traefikDomain: a.example.com\n" })
    const { child, out, closed } = start("projects", "--front", "many", "--out", "out", "--apply")
    child.stdout.destroy()
    expect([await closed, out.stderr]).toEqual([[0, null], ""])
    expect((await readdir(join(place, "out"))).filter((name) => name.startsWith("f"))).toHaveLength(200)
  })
})
