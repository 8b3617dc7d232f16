/** The command with the package's own fronts. */
import { execFile } from "node:child_process"
import { mkdir, mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { promisify } from "node:util"
import { checkTraefik } from "@project-ingress/ingress/traefik"
import { afterEach, beforeEach, describe, expect, it } from "vitest"
import { parse } from "yaml"
import { exporters, runGenerate } from "../../src/generate.ts"

const command = join(import.meta.dirname, "../../src/generate-command.ts")
let place: string
beforeEach(async () => void (place = await mkdtemp(join(tmpdir(), "exporters-"))))
afterEach(() => rm(place, { recursive: true }))

const put = async (files: Readonly<Record<string, string>>): Promise<void> => {
  for (const [path, text] of Object.entries(files)) {
    await mkdir(dirname(join(place, path)), { recursive: true })
    await writeFile(join(place, path), text)
  }
}
const read = (path: string): Promise<string> => readFile(join(place, path), "utf8")

const hash = "$2y$05$zb1QZqgNabcdefghijklmnoKXbIfmtDKdrDBuy3wzpL41abcdefghi"
const environment = { LETSENCRYPT_EMAIL: "me@example.com", TRAEFIK_ADMIN: `me:${hash}` }

const run = async (args: readonly string[], variables: Readonly<Record<string, string>> = environment) => {
  let [stdout, stderr] = ["", ""]
  const code = await runGenerate(args, {
    exporters,
    environment: variables,
    workingDirectory: place,
    stdout: { write: (text: string) => void (stdout += text) },
    stderr: { write: (text: string) => void (stderr += text) },
  })
  return { code, stdout, stderr }
}

/** As a process. Rejects if it does not end with 0. */
const start = (args: readonly string[]) =>
  promisify(execFile)(process.execPath, ["--conditions=@project-ingress/source", command, ...args], {
    cwd: place,
    env: { ...process.env, ...environment },
  })

const web = {
  "projects/itsup.yml": "traefikDomain: traefik.example.com\nrouterIP: 192.168.1.2\n",
  "projects/shop/docker-compose.yml": "services:\n  web:\n    image: nginx\n",
  "projects/shop/itsup-project.yml": "ingress:\n  - {service: web, domain: shop.example.com, port: 80}\n",
  "projects/nas/itsup-project.yml": "host: 192.168.1.10\ningress:\n  - {domain: nas.example.com, port: 5000}\n",
}
const certificate = "{certFile: /tls/cert.pem, keyFile: /tls/key.pem}"
const own = { "own.yml": `certificates: {"*.example.com": ${certificate}}\n` }

describe.each([
  ["traefik", "proxy/traefik/dynamic/nas.yml", []],
  ["caddy", "caddy.json", []],
  ["envoy", "cds/cds.json", ["--overrides", "own.yml"]],
  ["zone", "ingress.records", []],
])("--front %s", (front, file, more) => {
  const args = ["projects", "--front", front, "--out", "out", ...more]

  it("shows a plan, writes it, writes nothing a second time, and stops at what was changed by hand", async () => {
    await put({ ...web, ...own })
    const plan = await run(args)
    expect(plan).toMatchObject({ code: 1, stderr: "" })
    expect(plan.stdout).toContain(`+++ ${file}\n`)
    await expect(stat(join(place, "out"))).rejects.toThrow("ENOENT")

    const { stdout, stderr } = await start([...args, "--apply"])
    expect([stdout.replace(/\d+ written, 0 removed, 0 unchanged\n$/, ""), stderr]).toEqual([
      plan.stdout.replace(/would be: \d+ written, 0 removed, 0 unchanged\n$/, ""),
      "",
    ])
    expect(await read(`out/${file}`)).toContain(front === "zone" ? "nas.example.com. 300 IN A" : "192.168.1.10")
    expect(await run([...args, "--apply"])).toMatchObject({
      code: 0,
      stdout: expect.stringMatching(/^0 written, 0 removed, \d+ unchanged\n$/),
    })

    await writeFile(join(place, "out", file), "by hand\n")
    await put({
      "projects/nas/itsup-project.yml": "host: 192.168.1.11\ningress:\n  - {domain: n.example.com, port: 5000}\n",
    })
    expect(await run([...args, "--apply"])).toMatchObject({ code: 2, stderr: expect.stringContaining(file) })
    expect(await read(`out/${file}`)).toBe("by hand\n")
    expect((await run([...args, "--apply", "--overwrite"])).code).toBe(0)
    expect(await read(`out/${file}`)).toContain(front === "zone" ? "n.example.com." : "192.168.1.11")
  })
})

describe("--front traefik", () => {
  const args = ["projects", "--out", "out", "--apply"]
  const written = async () => {
    const paths = await readdir(join(place, "out"), { recursive: true })
    const files = paths.filter((path) => path.endsWith(".yml"))
    return Promise.all(files.toSorted().map(async (path) => ({ path, text: await read(`out/${path}`) })))
  }

  it("3-30: writes itsUP's layout, in which everything that is named is declared", async () => {
    await put(web)
    expect((await run(args)).code).toBe(0)
    const files = await written()
    expect(files.map(({ path }) => path)).toEqual([
      "proxy/docker-compose.yml",
      "proxy/traefik/dynamic/_dashboard.yml",
      "proxy/traefik/dynamic/nas.yml",
      "proxy/traefik/traefik.yml",
      "upstream/shop/docker-compose.yml",
    ])
    expect(checkTraefik(files)).toEqual([])
    const { services, networks } = parse(await read("out/proxy/docker-compose.yml")) as Tree
    expect(services!["traefik"]).toMatchObject({
      image: "traefik:v3.6",
      ports: ["80:8080", "443:8443"],
      networks: ["default", "proxynet"],
    })
    expect([services!["dockerproxy"]!["networks"], networks]).toEqual([undefined, { proxynet: { external: true } }])
  })

  it("has a dashboard with a password, whose hash is in no diff and in a file of the mode 0600", async () => {
    await put(web)
    const { stdout } = await run(args)
    expect(stdout).toContain("_dashboard_password")
    expect(stdout).not.toContain(hash)
    const path = "out/proxy/traefik/dynamic/_dashboard.yml"
    expect((await stat(join(place, path))).mode & 0o777).toBe(0o600)
    const { routers, middlewares } = (parse(await read(path)) as Tree)["http"]!
    expect(routers!["_dashboard"]).toMatchObject({
      rule: "Host(`traefik.example.com`)",
      middlewares: ["_dashboard_password"],
      service: "api@internal",
      tls: { certResolver: "letsencrypt" },
    })
    expect(middlewares!["_dashboard_password"]).toEqual({ basicAuth: { users: [`me:${hash}`] } })
  })

  it.each([
    ["a row of a container", { "projects/shop/itsup-project.yml": row("traefik.example.com", "service: web, ") }],
    [
      "a row of another computer",
      { "projects/nas/itsup-project.yml": `host: 10.0.0.1\n${row("traefik.example.com")}` },
    ],
  ])("leaves the dashboard's hostname to nobody else: %s", async (_, files) => {
    await put({ ...web, ...files })
    const { code, stderr } = await run(args)
    expect([code, stderr]).toEqual([3, expect.stringContaining("traefikDomain is that of Traefik's own dashboard")])
  })

  it("keeps what labels and the dashboard own from a wider pattern in a file", async () => {
    const wide = { match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.9:80" } }
    await put({
      ...web,
      "projects/shop/itsup-project.yml": row("shop.example.com", "service: web, path_prefix: /api, "),
      "projects/wide/ingress.json": JSON.stringify({ name: "wide", rules: [wide] }),
    })
    expect((await run(args)).code).toBe(0)
    for (const [name, rule] of [
      ["dashboard", "Host(`traefik.example.com`)"],
      ["shop", "Host(`shop.example.com`)"],
    ]) {
      const { routers } = (parse(await read(`out/proxy/traefik/dynamic/${name}.yml`)) as Tree)["http"]!
      expect(routers![`${name}_unmatched_0`]).toMatchObject({ rule, entryPoints: ["web"] })
    }
    expect(checkTraefik(await written())).toEqual([])
  })

  it("3-19: names what is missing or no hash, and shows no password", async () => {
    await put(web)
    expect((await run(args, {})).stderr).toBe(
      "project-ingress generate: traefik needs LETSENCRYPT_EMAIL and TRAEFIK_ADMIN in the environment: set them and run the command again\n",
    )
    const plain = await run(args, { ...environment, TRAEFIK_ADMIN: "me:hunter2" })
    expect([plain.code, plain.stderr]).toEqual([
      3,
      "project-ingress generate: traefik: dashboard: TRAEFIK_ADMIN must be name:hash, as htpasswd -nB name prints it\n",
    ])
    await rm(join(place, "projects/itsup.yml"))
    expect((await run(args)).stderr).toContain("itsup.yml: traefikDomain must be present")
    await expect(stat(join(place, "out"))).rejects.toThrow("ENOENT")
  })

  it("3-20: merges maps of traefik.yml, and replaces lists", async () => {
    await put({
      ...web,
      "projects/traefik.yml":
        "entryPoints: {web: {forwardedHeaders: {trustedIPs: [10.0.0.1/32]}}}\napi: {dashboard: false}\n",
    })
    expect((await run(args)).code).toBe(0)
    const { entryPoints, api } = parse(await read("out/proxy/traefik/traefik.yml")) as Tree
    expect(entryPoints!["web"]).toEqual({ address: ":8080", forwardedHeaders: { trustedIPs: ["10.0.0.1/32"] } })
    expect([entryPoints!["web-secure"], api]).toEqual([{ address: ":8443" }, { dashboard: false }])
  })

  it("is of the version that itsup.yml has", async () => {
    await put({
      ...web,
      "projects/itsup.yml": "traefikDomain: traefik.example.com\nversions: {traefik: v3.7, dockerproxy: 0.4.1}\n",
    })
    expect((await run(args)).code).toBe(0)
    const compose = await read("out/proxy/docker-compose.yml")
    expect(compose).toContain('"traefik:v3.7"')
    expect(compose).toContain('"tecnativa/docker-socket-proxy:0.4.1"')
  })
})

describe("--unit", () => {
  it.each([
    ["systemd", "caddy", (out: string) => `\nExecStart=/usr/bin/caddy "run" "--config" "${out}/caddy.json"\n`],
    ["supervisord", "envoy", (out: string) => `\ncommand=/usr/bin/envoy -c ${out}/bootstrap.yaml `],
    ["s6", "traefik", (out: string) => `\nexec /usr/bin/docker compose --file ${out}/proxy/docker-compose.yml up\n`],
  ])("prints the unit of %s that runs %s", async (unit, front, line) => {
    const { code, stdout } = await run(["--unit", unit, "--front", front, "--out", "out"])
    expect([code, stdout]).toEqual([0, expect.stringContaining(line(join(place, "out")))])
  })

  it("is refused for a zone, which is no process", async () => {
    expect(await run(["--unit", "systemd", "--front", "zone"])).toMatchObject({
      code: 3,
      stderr: "project-ingress generate: --unit has no effect: zone is no process\n",
    })
  })
})

interface Tree {
  readonly [key: string]: Tree | undefined
}

function row(domain: string, more = ""): string {
  return `ingress:\n  - {${more}domain: ${domain}, port: 80}\n`
}
