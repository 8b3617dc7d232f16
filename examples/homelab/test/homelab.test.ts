import { spawn, spawnSync } from "node:child_process"
import { Resolver } from "node:dns/promises"
import { once } from "node:events"
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { checkTraefik } from "@project-ingress/ingress/traefik"
import { afterAll, beforeAll, expect, it } from "vitest"
import { freePort } from "../../../test/free-port.ts"
import { homelab } from "../src/homelab.ts"

const hash = "$apr1$zb1QZqgN$kXbIfmtDKdrDBuy3wzpL41"
const environment = { LETSENCRYPT_EMAIL: "me@home.example", TRAEFIK_ADMIN: `me:${hash}` }
let out: string
let printed = ""
let code: number
const run = () => homelab({ out, environment, print: (text) => void (printed += text) })
const read = (path: string): Promise<string> => readFile(join(out, path), "utf8")

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "homelab-"))
  code = await run()
})
afterAll(() => rm(out, { recursive: true }))

it("is written", () => {
  expect([code, printed]).toEqual([0, expect.stringContaining(" written, 0 removed, 0 unchanged")])
})

it("is a configuration of Traefik that holds together, labels and all", async () => {
  const paths = (await readdir(join(out, "traefik"), { recursive: true })).filter((path) => path.endsWith(".yml"))
  const files = await Promise.all(paths.map(async (path) => ({ path, text: await read(`traefik/${path}`) })))
  expect(files.map(({ path }) => path)).toContain("proxy/traefik/traefik.yml")
  expect(checkTraefik(files)).toEqual([])
})

it("has the shop's labels in its compose file, which is otherwise as it was", async () => {
  const compose = await read("traefik/upstream/shop/docker-compose.yml")
  expect(compose).toContain("# The compose file stays as it is")
  expect(compose).toContain("nginx:${SHOP_TAG:-1.27}")
  expect(compose).toContain("traefik.http.routers.shop-web-80.rule=Host(`shop.home.example`)")
})

it("has the rules of the others in files of Traefik", async () => {
  const dynamic = (name: string) => read(`traefik/proxy/traefik/dynamic/${name}.yml`)
  expect(await dynamic("nas")).toContain('url: "http://192.168.1.10:5000/"')
  expect(await dynamic("shop")).toContain('- "192.168.1.0/24"')
  expect(await dynamic("wiki")).toContain('url: "http://192.168.1.11:3000/"')
  expect(await dynamic("_dashboard")).toContain("Host(`traefik.home.example`)")
})

it("shows no secret, and writes nothing a second time", async () => {
  expect(printed).not.toContain(hash)
  printed = ""
  expect(await run()).toBe(0)
  expect(printed).toMatch(/^0 written, 0 removed, \d+ unchanged\n0 written, 0 removed, 1 unchanged\n$/)
})

it("has a zone that Knot serves, and the resolver of Node reads", async (ctx) => {
  // Debian has it where the PATH of a user does not lead.
  const program = spawnSync("sh", ["-c", "PATH=$PATH:/usr/sbin; command -v knotd"], { encoding: "utf8" }).stdout.trim()
  if (program === "") ctx.skip("no knotd is installed")
  const folder = await mkdtemp(join(tmpdir(), "knot-"))
  const port = await freePort()
  const zone = join(out, "zone/home.example.zone")
  const lines = [
    "server:",
    `    listen: 127.0.0.1@${port}`,
    `    rundir: ${folder}`,
    "database:",
    `    storage: ${folder}`,
    "zone:",
    "  - domain: home.example",
    `    file: ${zone}`,
    "    zonefile-sync: -1",
    "    journal-content: none",
  ]
  await writeFile(join(folder, "knot.conf"), `${lines.join("\n")}\n`)
  const knot = spawn(program, ["-c", join(folder, "knot.conf")], { stdio: "ignore" })
  const ended = once(knot, "exit")
  try {
    const resolver = new Resolver({ timeout: 1_000, tries: 1 })
    resolver.setServers([`127.0.0.1:${port}`])
    const address = (name: string) => resolver.resolve4(`${name}.home.example`).catch((error: Error) => error.message)
    await expect.poll(() => address("ns"), { interval: 20 }).toEqual(["192.168.1.2"])
    for (const name of ["nas", "shop", "wiki", "traefik"]) expect(await address(name)).toEqual(["192.168.1.2"])
    expect(await address("other")).toContain("ENOTFOUND")
  } finally {
    knot.kill("SIGTERM")
    await ended
    await rm(folder, { recursive: true })
  }
})
