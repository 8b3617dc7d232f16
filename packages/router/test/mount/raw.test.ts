import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { App, Client } from "../../../machine-proxy/test/catalogue/harness.ts"
import { startMachine, startMounted, startNode } from "../hosts/hosts.ts"
import type { RunningHost } from "../hosts/hosts.ts"
import { rawRows } from "./raw-rows.ts"
import type { RawRow } from "./raw-rows.ts"

let machine: RunningHost
const hosts = new Map<string, RunningHost>()
let app: App

beforeAll(async () => {
  machine = await startMachine()
  hosts.set("the Node host", await startNode(machine.port)).set("a mounted router", await startMounted(machine.port))
})
afterAll(async () => {
  for (const host of hosts.values()) await host.close()
  await machine.close()
})
beforeEach(async () => {
  app = await new App().listen()
})
afterEach(() => app.stop())

/** Sends what a row sends, and then, on what is left of the connection, one more request. */
const outcome = async (port: number, { sent, ends }: RawRow, expected: Pick<RawRow, "gets">) => {
  const to = (text: string) => text.replaceAll(/misha\.iterate\.app/gi, `${app.port}__$&`)
  const client = new Client(port)
  try {
    await client.write(to(sent))
    if (ends === true) client.end()
    const responses = expected.gets.split(", ").filter((each) => each !== "closed").length
    await client.until(
      () => client.answers.length >= responses || client.closed !== undefined,
      () => `${responses} responses, got ${JSON.stringify(client.text)}`,
    )
    const before = client.answers.length
    if (client.closed === undefined && ends !== true)
      await client.write(to("GET /probe HTTP/1.1\r\nHost: misha.iterate.app\r\n\r\n"))
    await client.until(
      () => client.answers.length > before || client.closed !== undefined,
      () => `an end or a response to one more, got ${JSON.stringify(client.text)}`,
    )
    const kept = client.answers.at(-1)?.text === "/probe"
    const gets = client.answers
      .slice(0, kept ? -1 : undefined)
      .map((each) => [each.status, ...each.values("x-iterate-proxy-error")].join(" "))
    const sees = app.requests.map(({ line }) => line).filter((line) => !line.includes("/probe"))
    return { gets: [...gets, ...(kept ? [] : ["closed"])].join(", "), sees }
  } finally {
    client.destroy()
  }
}

describe.each(["the Node host", "a mounted router"])("%s", (name) => {
  it.each(rawRows.map((row) => [`${row.id} ${row.title}`, row] as const))("%s", async (_, row) => {
    app.script = (request, connection) =>
      connection.write(`HTTP/1.1 200 OK\r\nContent-Length: ${request.target.length}\r\n\r\n${request.target}`)
    const { gets, sees = [] } = (name === "a mounted router" ? row.mounted : undefined) ?? row
    expect(await outcome(hosts.get(name)!.port, row, { gets })).toEqual({ gets, sees })
  })
})

it("says of every difference that it is one, and why", () => {
  for (const { id, gets, sees, mounted } of rawRows) {
    if (mounted === undefined) continue
    expect([id, mounted.gets, mounted.sees]).not.toEqual([id, gets, sees])
    expect(mounted.reason).not.toBe("")
  }
  expect(new Set(rawRows.map(({ id }) => id)).size).toBe(rawRows.length)
})
