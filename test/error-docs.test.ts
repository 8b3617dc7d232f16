/** Every error code has a page that says why, what helps, and what to try. */
import { execFile } from "node:child_process"
import { existsSync, readdirSync, readFileSync } from "node:fs"
import { createServer } from "node:net"
import type { AddressInfo, Server } from "node:net"
import { join } from "node:path"
import { promisify } from "node:util"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { defaultErrorDocs } from "../packages/forward/src/error-docs.ts"
import { generateTicketKeys, machineKey } from "../packages/forward/src/forward.ts"
import { defineGrammar } from "../packages/hostname/src/hostname.ts"
import { createMachineProxy } from "../packages/machine-proxy/src/machine-proxy.ts"
import { local } from "../packages/providers/src/adapters/local.ts"
import { defineAccess, signIn } from "../packages/router/src/access.ts"
import { serveNode } from "../packages/router/src/hosts/node.ts"
import { createRouter, LoginRequired } from "../packages/router/src/router.ts"
import { memoryStore } from "../packages/router/src/stores/memory.ts"
import { knownErrors } from "../scripts/error-docs/known-errors.ts"
import { files, pages } from "../scripts/error-docs/render.ts"
import { knownRows, rowsByCode } from "../scripts/error-docs/rows.ts"

const root = join(import.meta.dirname, "..")
const folder = join(root, "docs/errors")
const run = promisify(execFile)
const listen = async (server: Server): Promise<number> => {
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve))
  return (server.address() as AddressInfo).port
}

describe("docs/errors", () => {
  it("has a page for each code of every package, and no other", () => {
    expect(Object.keys(pages).toSorted()).toEqual([...rowsByCode.keys()].toSorted())
    expect(readdirSync(folder).toSorted()).toEqual(
      [...rowsByCode.keys(), "README"].map((name) => `${name}.md`).toSorted(),
    )
  })

  it.each([...files()])("is what the tables give, in %s (pnpm errors writes it)", (name, text) => {
    expect(readFileSync(join(folder, name), "utf8")).toBe(text)
  })

  it("has the codes and tags that metrics have for labels (pnpm errors writes them)", () => {
    const written = join(root, "packages/router/src/observability/known-errors.ts")
    expect(readFileSync(written, "utf8")).toBe(knownErrors())
  })

  it("is where a response links to", () => {
    const { repository } = JSON.parse(readFileSync(join(root, "packages/forward/package.json"), "utf8")) as {
      readonly repository: { readonly url: string }
    }
    const home = repository.url.replace(/^git\+/, "").replace(/\.git$/, "")
    expect(defaultErrorDocs).toBe(`${home}/blob/main/docs/errors/{code}.md`)
    for (const { row } of knownRows) {
      expect(row.docs).toBe(`${home}/blob/main/docs/errors/${row.code}.md`)
      expect(existsSync(join(root, row.docs!.split("/main/")[1]!))).toBe(true)
    }
  })

  it("is linked from the README", () => {
    expect(readFileSync(join(root, "README.md"), "utf8").includes("(docs/errors/README.md)")).toBe(true)
  })
})

describe("a code", () => {
  it("is one failure's, or is shared on purpose", () => {
    const shared = [...rowsByCode].filter(([, rows]) => rows.length > 1)
    expect(Object.fromEntries(shared.map(([code, rows]) => [code, rows.map(({ tag }) => tag)]))).toEqual({
      // A router and a machine proxy meet the same.
      LOOP_DETECTED: ["LoopDetected", "LoopDetected"],
      MACHINE_MISMATCH: ["MachineMismatch", "MachineMisdirected"],
      // The machine proxy finds the app's port closed, the router the machine's own.
      PORT_CLOSED: ["PortClosed", "PortClosed"],
      // The status, or `Proxy-Status`, tells them apart.
      PROVIDER_UNAVAILABLE: ["ProviderTimeout", "ProviderUnavailable"],
      REGION_UNREACHABLE: ["RegionUnreachable", "RegionTimeout"],
      UPSTREAM_FAILED: ["UpstreamFailed", "UpstreamMalformed"],
    })
  })

  it.each(knownRows.map((known) => [known.tag, known] as const))(
    "of %s says what happened and what to do",
    (_tag, { row }) => {
      expect(row.title).toMatch(/^(?:[A-Z]|\{[A-Z])[^<&]*\. [A-Z][^<&]*\.$/)
      // "The hostname this address" is what such a title would say where nothing is known.
      expect(row.title).not.toMatch(/\b(?:port|project|address|hostname) \{/)
    },
  )
})

describe("the command of a page", () => {
  const ports = { router: 0, machine: 0 }
  const undo: (() => unknown)[] = []
  beforeAll(async () => {
    const { signing } = await generateTicketKeys("docs")
    const app = createServer((socket) => {
      socket.on("error", () => undefined).on("data", () => socket.end("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"))
    })
    const port = await listen(app)
    const proxy = createMachineProxy({ machine: "mach_1", keys: [await machineKey(signing, "mach_1")] })
    const server = createServer(proxy.connection)
    ports.machine = await listen(server)
    const machine = {
      id: "mach_1",
      type: "local",
      externalId: "m",
      metadata: { host: "127.0.0.1", port: ports.machine },
    }
    const grammar = defineGrammar({ domains: ["example.com"] })
    const people = signIn(defineAccess({ keys: [signing] }), { grammar, controlPlane: "https://example.org" })
    const router = createRouter({
      grammar,
      store: memoryStore({
        "p:misha": { machine, port, ports: { 5000: { visibility: "private" } } },
        "p:empty": { kind: "detached" },
        "p:members": { machine },
      }),
      providers: [local()],
      signingKey: signing,
      policies: [
        people.policy,
        (_, { key }) => (key === "p:members" ? { deny: new LoginRequired({ location: "/login" }) } : undefined),
      ],
    })
    const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
    ports.router = listening.port
    undo.push(
      () => listening.close({ deadlineMs: 0 }),
      () => proxy.drain({ deadlineMs: 0 }),
      () => server.close(),
      () => app.close(),
    )
  })
  afterAll(async () => {
    for (const end of undo) await end()
  })

  /** The same command for a router and a machine of this test. */
  const here = (command: string): string =>
    command
      .replace(/(?<=--resolve \S+):443:203\.0\.113\.10/, `:${ports.router}:127.0.0.1`)
      .replace(/https:\/\/([\w.-]+)\//, `http://$1:${ports.router}/`)
      .replace("192.0.2.7:8080", `127.0.0.1:${ports.machine}`)

  it.each(Object.entries(pages))("about %s is one that a shell understands", async (_code, { command }) => {
    expect(await run("sh", ["-n", "-c", command])).toEqual({ stdout: "", stderr: "" })
  })

  it.for(Object.entries(pages).filter(([, { reproduces }]) => reproduces === true))(
    "about %s gets that response",
    async ([code, { command }], ctx) => {
      const curl = await run("curl", ["--version"]).catch(() => undefined)
      if (curl === undefined) ctx.skip("no curl")
      const [first = ""] = command.split("\n")
      const { stdout } = await run("sh", ["-c", `${here(first)} --silent --show-error`])
      expect(stdout).toMatch(new RegExp(`^x-iterate-proxy-error: ${code}\\r$`, "im"))
      // What the reader sees last: one line that says what happened, in JSON where the request could not be read.
      const line = stdout.trimEnd().split("\n").at(-1)
      expect(line).toMatch(
        new RegExp(`^(?:[45]\\d\\d ${code}: .* \\(request \\S+, https://.*\\)|\\{"error":"${code}","message":".*\\})$`),
      )
    },
  )
})
