import { Buffer } from "node:buffer"
import { createSocket } from "node:dgram"
import { Resolver } from "node:dns/promises"
import { once } from "node:events"
import { decode, encode } from "dns-packet"
import type { Packet, Question } from "dns-packet"
import fc from "fast-check"
import { afterEach, describe, expect, it } from "vitest"
import { serveInternalDns } from "@project-ingress/ingress/dns/responder"
import type { InternalDns, InternalDnsOptions, ResolveMachine } from "@project-ingress/ingress/dns/responder"

const closers: (() => unknown)[] = []
afterEach(async () => {
  for (const close of closers.splice(0)) await close()
})

const zone = "machines.internal"
const addresses: Readonly<Record<string, string>> = {
  mach_1: "10.0.0.5",
  six: "fdaa::5",
  bad: "10.0.0.05",
  "a-b": "10.0.0.6",
}

const serve = async (options: Partial<InternalDnsOptions> = {}): Promise<InternalDns> => {
  const dns = await serveInternalDns({ zone, resolve: (machine) => addresses[machine], ...options })
  closers.push(() => dns.close())
  return dns
}

const resolverOf = ({ host, port }: InternalDns): Resolver => {
  const resolver = new Resolver({ timeout: 10_000, tries: 1 })
  resolver.setServers([`${host}:${port}`])
  return resolver
}

/** Sends packets from one socket; the responses come in any order. */
const client = async ({ host, port }: InternalDns) => {
  const socket = createSocket("udp4")
  const received: Buffer[] = []
  socket.on("message", (message) => received.push(message))
  socket.bind(0, "127.0.0.1")
  await once(socket, "listening")
  closers.push(() => socket.close())
  const send = (packet: Uint8Array) => new Promise<void>((resolve) => socket.send(packet, port, host, () => resolve()))
  return {
    received,
    send,
    /** The response with the id of the packet. */
    ask: async (packet: Uint8Array): Promise<Buffer> => {
      const id = Buffer.from(packet).readUInt16BE(0)
      const find = () => received.find((each) => each.readUInt16BE(0) === id)
      await send(packet)
      await expect.poll(find, { interval: 2 }).toBeDefined()
      return find()!
    },
  }
}

let id = 0
const query = (name: string, type: Question["type"] = "A", more: Partial<Packet> = {}): Buffer =>
  encode({ type: "query", id: ++id, flags: 0x100, questions: [{ name, type }], ...more })

const rcodeOf = (response: Buffer): number => response[3]! & 0xf
const edns = (version = 0) => ({
  additionals: [
    {
      type: "OPT" as const,
      name: "." as const,
      udpPayloadSize: 1232,
      extendedRcode: 0,
      ednsVersion: version,
      flags: 0,
      flag_do: false,
      options: [],
    },
  ],
})

describe("Node's own resolver gets, as case 4-27 has it", () => {
  it("the address of a machine, to be kept for 5 s", async () => {
    const resolver = resolverOf(await serve())
    await expect(resolver.resolve4("mach_1.machines.internal", { ttl: true })).resolves.toEqual([
      { address: "10.0.0.5", ttl: 5 },
    ])
  })
  it.each([
    ["NXDOMAIN for an unknown machine", "resolve4", "nobody.machines.internal", "ENOTFOUND"],
    ["no data for the IPv6 address of a machine that has none", "resolve6", "mach_1.machines.internal", "ENODATA"],
    ["no data for the IPv4 address of a machine that has none", "resolve4", "six.machines.internal", "ENODATA"],
    ["NXDOMAIN for the IPv6 address of an unknown machine", "resolve6", "nobody.machines.internal", "ENOTFOUND"],
    ["REFUSED for another suffix", "resolve4", "mach_1.example.com", "EREFUSED"],
    ["REFUSED for a suffix that only ends alike", "resolve4", "mach_1.othermachines.internal", "EREFUSED"],
    ["SERVFAIL for an address that is written ambiguously", "resolve4", "bad.machines.internal", "ESERVFAIL"],
    ["NXDOMAIN for two labels", "resolve4", "x.mach_1.machines.internal", "ENOTFOUND"],
    ["no data for the zone itself", "resolve4", "machines.internal", "ENODATA"],
    ["no data for other types", "resolveTxt", "mach_1.machines.internal", "ENODATA"],
  ] as const)("%s", async (_claim, method, name, code) => {
    const resolver = resolverOf(await serve())
    await expect(resolver[method](name)).rejects.toMatchObject({ code })
  })
  it("IPv6 addresses, and over IPv6", async () => {
    const dns = await serve({ host: "::1" })
    const resolver = new Resolver({ timeout: 10_000, tries: 1 })
    resolver.setServers([`[::1]:${dns.port}`])
    await expect(resolver.resolve6("six.machines.internal")).resolves.toEqual(["fdaa::5"])
  })
  it("the SOA record of the zone", async () => {
    const resolver = resolverOf(await serve())
    await expect(resolver.resolveSoa(zone)).resolves.toMatchObject({ minttl: 5 })
  })
})

describe("a response", () => {
  it("has the name in the letters of the query, and the machine is asked for in lower case", async () => {
    const asked: string[] = []
    const { ask } = await client(await serve({ resolve: (machine) => (asked.push(machine), "10.0.0.5") }))
    const response = await ask(query("mAcH_1.MachinES.internal"))
    expect(response.includes(Buffer.from("mAcH_1"))).toBe(true)
    expect(response.includes(Buffer.from("MachinES"))).toBe(true)
    expect(decode(response).answers).toMatchObject([{ name: "mAcH_1.MachinES.internal", ttl: 5, data: "10.0.0.5" }])
    expect(asked).toEqual(["mach_1"])
  })
  it("is given for names of letters, digits, - and _ alone, without asking for others", async () => {
    const asked: string[] = []
    const { ask } = await client(await serve({ resolve: (machine) => (asked.push(machine), "10.0.0.5") }))
    for (const label of ["a\nb", "\u212aafka", "é", "a b", "a\0", "*"]) {
      expect([label, rcodeOf(await ask(query(`${label}.machines.internal`)))]).toEqual([label, 3])
    }
    expect(asked).toEqual([])
  })
  it("says how long nothing may be kept", async () => {
    const { ask } = await client(await serve())
    for (const packet of [query("nobody.machines.internal"), query("mach_1.machines.internal", "AAAA")]) {
      expect(decode(await ask(packet)).authorities).toMatchObject([{ type: "SOA", ttl: 5, data: { minimum: 5 } }])
    }
  })
  it("is authoritative, offers no recursion, and has EDNS if the query had it", async () => {
    const { ask } = await client(await serve())
    const plain = decode(await ask(query("mach_1.machines.internal")))
    expect(plain).toMatchObject({ flag_aa: true, flag_ra: false, flag_rd: true, additionals: [] })
    const extended = decode(await ask(query("mach_1.machines.internal", "A", edns())))
    expect(extended.additionals).toMatchObject([{ type: "OPT", ednsVersion: 0 }])
    expect(extended.answers).toHaveLength(1)
  })
  it("to another version of EDNS is BADVERS", async () => {
    const { ask } = await client(await serve())
    const response = decode(await ask(query("mach_1.machines.internal", "A", edns(1))))
    expect(response.additionals).toMatchObject([{ extendedRcode: 1, ednsVersion: 0 }])
    expect(response).toMatchObject({ rcode: "NOERROR", answers: [] })
  })
  it("is at most 120 bytes longer than its query", async () => {
    const { ask } = await client(await serve())
    for (const name of ["mach_1.machines.internal", "nobody.machines.internal", zone, "a.example.com"]) {
      for (const type of ["A", "AAAA", "SOA", "TXT", "ANY"] as unknown as Question["type"][]) {
        const packet = query(name, type)
        expect((await ask(packet)).length - packet.length, `${name} ${type}`).toBeLessThanOrEqual(120)
      }
    }
  })
})

describe("a packet that is no usual query", () => {
  const at = (packet: Buffer, changes: Readonly<Record<number, number>>): Buffer => {
    for (const [place, byte] of Object.entries(changes)) packet[Number(place)] = byte
    return packet
  }
  const usual = () => query("mach_1.machines.internal")
  it.each([
    ["with another opcode is NOTIMP", () => at(usual(), { 2: 0x28 }), 4],
    ["without a query name is FORMERR", () => at(usual(), { 5: 0 }), 1],
    ["with two of them is FORMERR", () => at(usual(), { 5: 2 }), 1],
    ["that says it has 65 535 is FORMERR", () => at(usual(), { 4: 255, 5: 255 }), 1],
    ["that ends in the name is FORMERR", () => usual().subarray(0, 20), 1],
    ["of more than 512 bytes is FORMERR", () => Buffer.concat([usual(), Buffer.alloc(600)]), 1],
    [
      "with a pointer for a name is FORMERR",
      () => Buffer.concat([usual().subarray(0, 12), Buffer.from([0xc0, 0x0c, 0, 1, 0, 1])]),
      1,
    ],
    [
      "with a dot in a label is FORMERR",
      () => {
        const packet = usual()
        packet[packet.indexOf("_")] = 0x2e
        return packet
      },
      1,
    ],
    [
      "of another class is REFUSED",
      () =>
        encode({ type: "query", id: ++id, questions: [{ name: "mach_1.machines.internal", type: "A", class: "CH" }] }),
      5,
    ],
    ["for a transfer of the zone is REFUSED", () => query(zone, "AXFR"), 5],
  ] as const)("%s", async (_claim, packet, rcode) => {
    const { ask } = await client(await serve())
    const sent = packet()
    const response = await ask(sent)
    expect(rcodeOf(response)).toBe(rcode)
    expect(response[2]! & 0x80).toBe(0x80)
    // The header alone, where the rest could not be read.
    expect(response.length).toBe(rcode === 1 || rcode === 4 ? 12 : sent.length)
  })
  it("gets no response if it is a response itself, or no whole header", async () => {
    const { ask, send, received } = await client(await serve())
    await send(at(usual(), { 2: 0x80 }))
    await send(Buffer.alloc(11))
    await send(Buffer.alloc(0))
    await ask(usual())
    expect(received).toHaveLength(1)
  })
  it("ends nothing, whatever it is", { timeout: 60_000 }, async () => {
    const dns = await serve()
    const { ask, send, received } = await client(dns)
    const mutated = fc
      .tuple(fc.array(fc.tuple(fc.nat(60), fc.nat(255)), { maxLength: 6 }), fc.nat(60))
      .map(([changes, length]) => {
        const packet = query("mach_1.machines.internal", "A", edns())
        for (const [place, byte] of changes) if (place < packet.length) packet[place] = byte
        return length % 3 === 0 ? packet.subarray(0, length) : packet
      })
    const packets = fc.oneof(fc.uint8Array({ maxLength: 600 }), mutated)
    await fc.assert(
      fc.asyncProperty(fc.array(packets, { minLength: 20, maxLength: 40 }), async (sent) => {
        received.length = 0
        for (const packet of sent) await send(packet)
        const packet = query("mach_1.machines.internal")
        await send(packet)
        await expect
          .poll(() => received.some((each) => each.readUInt16BE(0) === id && rcodeOf(each) === 0), { interval: 2 })
          .toBe(true)
        for (const each of received) expect(each[2]! & 0x80).toBe(0x80)
        const longest = Math.max(...sent.map(({ length }) => length), packet.length)
        for (const each of received) expect(each.length).toBeLessThanOrEqual(longest + 120)
      }),
      { numRuns: 40, interruptAfterTimeLimit: 1_000 },
    )
    expect(decode(await ask(query("a-b.machines.internal"))).answers).toMatchObject([{ data: "10.0.0.6" }])
  })
})

describe("resolve", () => {
  it("is called once for all who wait for a machine, and again afterwards", async () => {
    let calls = 0
    let release!: (address: string) => void
    const dns = await serve({
      resolve: () => {
        calls++
        return new Promise((resolve) => {
          release = resolve
        })
      },
    })
    const { send, ask, received } = await client(dns)
    for (let i = 0; i < 20; i++) await send(query("one.machines.internal"))
    await expect.poll(() => calls).toBe(1)
    // Refused at once, so all that was sent before it has arrived.
    await ask(query("one.example.com"))
    release("10.0.0.7")
    await expect.poll(() => received.length).toBe(21)
    expect(calls).toBe(1)
    await send(query("one.machines.internal"))
    await expect.poll(() => calls).toBe(2)
    release("10.0.0.8")
    await expect.poll(() => received.length).toBe(22)
    expect(decode(received[21]!).answers).toMatchObject([{ data: "10.0.0.8" }])
  })
  it("that takes too long is aborted: SERVFAIL, and the next query calls it again", async () => {
    const signals: AbortSignal[] = []
    const errors: unknown[] = []
    const dns = await serve({
      timeoutMs: 10,
      resolve: (_machine, { signal }) => {
        signals.push(signal)
        return new Promise(() => undefined)
      },
      onError: (error) => errors.push(error),
    })
    const { ask } = await client(dns)
    expect(rcodeOf(await ask(query("slow.machines.internal")))).toBe(2)
    expect(rcodeOf(await ask(query("slow.machines.internal")))).toBe(2)
    expect(signals.map(({ aborted }) => aborted)).toEqual([true, true])
    expect(errors).toMatchObject([{ name: "TimeoutError" }, { name: "TimeoutError" }])
  })
  it.each<[string, ResolveMachine]>([
    [
      "throws",
      () => {
        throw new Error("no database")
      },
    ],
    ["rejects", () => Promise.reject(new Error("no database"))],
    ["gives a name", () => "localhost"],
    ["gives a number", () => 5 as never],
  ])("that %s is SERVFAIL, and is reported with the machine", async (_what, resolve) => {
    const reported: (string | undefined)[] = []
    const { ask } = await client(await serve({ resolve, onError: (_error, machine) => reported.push(machine) }))
    expect(rcodeOf(await ask(query("mach_1.machines.internal")))).toBe(2)
    expect(reported).toEqual(["mach_1"])
  })
  it("is called for at most 256 machines at once; more are SERVFAIL", async () => {
    let calls = 0
    const dns = await serve({
      resolve: () => {
        calls++
        return new Promise(() => undefined)
      },
    })
    const { send, received } = await client(dns)
    // In parts, so that no socket's buffer is full.
    for (let part = 0; part < 16; part++) {
      for (let i = 0; i < 16; i++) await send(query(`m${part}-${i}.machines.internal`))
      await expect.poll(() => calls, { interval: 2 }).toBe(16 * (part + 1))
    }
    for (let i = 0; i < 4; i++) await send(query(`more${i}.machines.internal`))
    await expect.poll(() => received.length).toBe(4)
    expect(received.map(rcodeOf)).toEqual([2, 2, 2, 2])
    expect(calls).toBe(256)
  })
})

describe("the responder", () => {
  it("listens on loopback unless it is given an address, and says where", async () => {
    const { host, port } = await serve()
    expect(host).toBe("127.0.0.1")
    expect(port).toBeGreaterThan(0)
  })
  it("frees its port and aborts what is pending when it is closed, also twice", async () => {
    let aborted: AbortSignal | undefined
    const dns = await serve({
      resolve: (_machine, { signal }) => {
        aborted = signal
        return new Promise(() => undefined)
      },
    })
    const { send } = await client(dns)
    await send(query("mach_1.machines.internal"))
    await expect.poll(() => aborted).toBeDefined()
    await dns.close()
    await dns.close()
    expect(aborted!.aborted).toBe(true)
    const again = await serve({ port: dns.port })
    expect(again.port).toBe(dns.port)
  })
  it("rejects when the port is taken", async () => {
    const { port } = await serve()
    await expect(serve({ port })).rejects.toMatchObject({ code: "EADDRINUSE" })
  })
  it.each([
    [{ zone: "Machines.internal" }, /zone must be/],
    [{ zone: "*.internal" }, /zone must be/],
    [{ host: "localhost" }, /host must be an IP address/],
    [{ port: 70_000 }, /port must be/],
    [{ ttl: 5 }, /ttl is not an option/],
    [{ resolve: undefined }, /resolve must be/],
  ])("rejects options %j", async (options, message) => {
    await expect(serve(options as Partial<InternalDnsOptions>)).rejects.toThrow(message)
  })
})
