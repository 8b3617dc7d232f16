import { execFile } from "node:child_process"
import { promisify } from "node:util"
import { expect, it } from "vitest"
import { formatMailDnsPlan, mailDnsPlan } from "../../src/email.ts"

it("the plan has one MX for every project, an address without an origin beside it, and no CNAME", () => {
  const plan = mailDnsPlan(["iterate.app", "iterate.town"])
  expect([...new Set(plan.records.map(({ name }) => name))]).toEqual([
    "*.iterate.app",
    "iterate.app",
    "*.iterate.town",
    "iterate.town",
  ])
  for (const domain of ["iterate.app", "iterate.town"]) {
    const types = plan.records.filter(({ name }) => name === `*.${domain}`).map(({ type }) => type)
    expect(types).toEqual(["AAAA", "MX", "MX", "MX"])
  }
  const text = formatMailDnsPlan(plan)
  expect(text).toContain("*.iterate.app                AAAA  100:: proxied\n")
  expect(text).toContain("*.iterate.app                MX    10 route1.mx.cloudflare.net\n")
  expect(text).toMatch(/^- One MX at the wildcard/m)
})

const command = new URL("../../src/command.ts", import.meta.url).pathname
const run = (...args: string[]) =>
  promisify(execFile)(process.execPath, ["--conditions=@project-ingress/source", command, "mail-dns", ...args])

it("project-ingress mail-dns prints the plan, and refuses what is no domain", async () => {
  expect((await run("iterate.app")).stdout).toBe(formatMailDnsPlan(mailDnsPlan(["iterate.app"])))
  expect(JSON.parse((await run("iterate.app", "--json")).stdout)).toEqual(mailDnsPlan(["iterate.app"]))
  await expect(run("https://iterate.app")).rejects.toMatchObject({ code: 3, stderr: /domain/ })
  await expect(run("iterate.app", "--status")).rejects.toMatchObject({ code: 3 })
})
