/** Real machine proxies and apps, and a router on real sockets whose routes are older than the registry's. */
import { once } from "node:events"
import { get } from "node:http"
import { machineKey } from "@project-ingress/forward"
import { local } from "@project-ingress/providers/local"
import { startMachine } from "@project-ingress/providers/testing"
import type { ProcessMachine } from "@project-ingress/providers/testing"
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest"
import { WebSocket } from "ws"
import { createMachineProxy } from "../../../machine-proxy/src/machine-proxy.ts"
import { serveNode } from "../../src/hosts/node.ts"
import { createRouter } from "../../src/router.ts"
import { layeredStore } from "../../src/stores/layered.ts"
import type { LayeredStore } from "../../src/stores/layered.ts"
import { memoryRegistry } from "../../src/stores/memory.ts"
import type { MemoryRegistry } from "../../src/stores/memory.ts"
import { hostnames, keys } from "../fakes.ts"

const DAY = 86_400_000
let old: ProcessMachine
let next: ProcessMachine
let appPort: number
beforeAll(async () => {
  const start = async (id: string, loopback: string, port: number) => {
    const key = await machineKey(keys.signing, id)
    const serve = (given: { readonly machine: string; readonly loopback: string }) =>
      createMachineProxy({ ...given, keys: [key] }).connection
    return startMachine({ id, serve, loopback, appPort: port })
  }
  old = await start("mach_old", "127.0.0.1", 0)
  ;({ appPort } = old)
  // One port for both apps, as in machines of their own.
  next = await start("mach_new", "127.0.0.2", appPort)
})
afterAll(() => Promise.all([old, next].map((each) => each?.close())))

let registry: MemoryRegistry
let port: number
let layers: LayeredStore
let close: () => Promise<unknown>
/** Look-ups past all caches. */
let refreshed: string[]

/** Registers a machine, where its proxy listens or where somebody wrongly says so. */
const put = (machine: ProcessMachine, where = machine) =>
  registry.putMachine({
    id: machine.id,
    type: "local",
    externalId: machine.id,
    metadata: { port: where.port, epoch: where.bootId },
    visibility: "public",
  })

beforeEach(async () => {
  registry = memoryRegistry({ grammar: hostnames })
  await put(old)
  await put(next)
  await registry.create({ name: "misha", machine: "mach_old", visibility: "public" })
  refreshed = []
  const authority: Pick<MemoryRegistry, "get"> = { get: (key) => registry.get(key) }
  // As old as a test lasts: nothing but what machines say makes it read again.
  layers = layeredStore({ authority, softMs: DAY, revalidateMs: DAY, maxAgeMs: DAY })
  const router = createRouter({
    grammar: hostnames,
    store: {
      get: (key, options) => {
        if (options.refresh === true) refreshed.push(key)
        return layers.get(key, options)
      },
    },
    providers: [local()],
    signingKey: keys.signing,
  })
  const listening = await serveNode(router).listen({ hostname: "127.0.0.1" })
  ;({ port } = listening)
  close = () => listening.close({ deadlineMs: 0 })
})
afterEach(async () => {
  await close()
  await layers.dispose()
})

/** Which machine answers, else the status. */
const who = (name: string): Promise<string> =>
  new Promise((resolve, reject) => {
    get({ host: "127.0.0.1", port, path: "/who", headers: { host: `${name}.iterate.app` } }, (response) => {
      let body = ""
      response.setEncoding("utf8").on("data", (chunk: string) => (body += chunk))
      response.on("end", () =>
        resolve(
          response.statusCode === 200
            ? body
            : `${response.statusCode} ${String(response.headers["x-iterate-proxy-error"])}`,
        ),
      )
    }).on("error", reject)
  })

describe("situation 37: a machine that is no longer attached", () => {
  it("goes on serving its own hostname, and its project is the new machine's", async () => {
    await registry.attach("misha", "mach_new")
    expect(await who(`${appPort}__misha`)).toBe("mach_new")
    expect(await who(`${appPort}__mach_old.machines`)).toBe("mach_old")
    expect(await who(`${appPort}__mach_new.machines`)).toBe("mach_new")
  })

  it("misdirects what is meant for the new one (421): the route is read again once, and the new one has the request", async () => {
    // What the registry says, and with it the router: the new machine is where the old one listens still.
    await put(next, old)
    await registry.attach("misha", "mach_new")
    const asked = `${appPort}__misha`
    // Asked twice, and misdirected twice.
    expect(await who(asked)).toBe("503 MACHINE_MISMATCH")
    expect(refreshed).toEqual(["p:misha"])
    // From now on the registry knows better, and the router was not notified.
    await put(next)
    expect(await who(asked)).toBe("mach_new")
    expect(refreshed).toEqual(["p:misha", "p:misha"])
    expect(await who(asked)).toBe("mach_new")
    expect(refreshed).toHaveLength(2)
  })
})

describe("situation 40: a WebSocket", () => {
  const open = async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${port}/ws`, { headers: { host: `${appPort}__misha.iterate.app` } })
    await once(socket, "open")
    const echo = async (text: string): Promise<string> => {
      const answered = once(socket, "message")
      socket.send(text)
      const [data] = (await answered) as [Buffer]
      return String(data)
    }
    return { socket, echo }
  }

  it("leads where requests do, and stays with its machine when the route changes", async () => {
    void layers.follow(registry)
    const first = await open()
    expect(await first.echo("one")).toContain("one")
    await registry.attach("misha", "mach_new")
    await expect.poll(() => who(`${appPort}__misha`)).toBe("mach_new")
    const second = await open()
    expect(await first.echo("two")).toContain("two")
    expect(await second.echo("three")).toContain("three")
    // The one that ends with the old machine was there.
    const ended = once(first.socket, "close")
    await old.stop()
    await ended
    expect(await second.echo("four")).toContain("four")
    second.socket.terminate()
    await old.start()
    await put(old)
  })
})
