import { execFile } from "node:child_process"
import { mkdtemp, readFile, rm } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, expect, it } from "vitest"
import { homelab } from "../src/homelab.ts"
import { exporters } from "./stand-in.ts"

const environment = { LETSENCRYPT_EMAIL: "me@home.example", TRAEFIK_ADMIN: "me:$apr1$secret$hashhashhash" }
let out: string
let printed = ""
let code: number
const run = () => homelab({ out, environment, exporters, print: (text) => void (printed += text) })
const read = (path: string): Promise<string> => readFile(join(out, path), "utf8")

beforeAll(async () => {
  out = await mkdtemp(join(tmpdir(), "homelab-"))
  code = await run()
})
afterAll(() => rm(out, { recursive: true }))

it("is written", () => {
  expect([code, printed]).toEqual([0, expect.stringContaining(" written, 0 removed, 0 unchanged")])
})

it("has the shop's labels in its compose file, which is otherwise as it was", async () => {
  const compose = await read("traefik/upstream/shop/docker-compose.yml")
  expect(compose).toContain("# The compose file stays as it is")
  expect(compose).toContain("nginx:${SHOP_TAG:-1.27}")
  expect(compose).toContain("Host(`shop.home.example`)")
})

it("has the rules of the others in files of Traefik", async () => {
  expect(await read("traefik/traefik/dynamic/nas.yml")).toContain("192.168.1.10")
  expect(await read("traefik/traefik/dynamic/shop.yml")).toContain("192.168.1.0/24")
  expect(await read("traefik/traefik/dynamic/wiki.yml")).toContain("192.168.1.11")
})

it("shows no secret, and writes nothing a second time", async () => {
  expect(printed).not.toContain("hashhashhash")
  printed = ""
  expect(await run()).toBe(0)
  expect(printed).toMatch(/^0 written, 0 removed, \d+ unchanged\n0 written, 0 removed, 1 unchanged\n$/)
})

it("has a zone that a DNS server accepts", async (ctx) => {
  expect(await read("zone/ingress.records")).toContain("nas.home.example. 300 IN A 192.168.1.2\n")
  const check = promisify(execFile)("named-checkzone", ["-k", "fail", "home.example", "home.example.zone"], {
    cwd: join(out, "zone"),
  })
  const failure = await check.then(
    () => undefined,
    (cause: { readonly code?: unknown; readonly stdout?: string }) => cause,
  )
  if (failure?.code === "ENOENT") ctx.skip("no named-checkzone is installed")
  expect(failure?.stdout).toBeUndefined()
})
