import { decodeJwt } from "jose"
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest"
import { generateTicketKeys, machineKey, ticketSigner, ticketVerifier, TicketsLimited } from "../src/forward.ts"
import type { SignedTicket } from "../src/forward.ts"

const { signing } = await generateTicketKeys("k1")

beforeEach(() => {
  vi.useFakeTimers({ now: Date.now(), toFake: ["Date", "performance"] })
})
afterEach(() => {
  vi.useRealTimers()
})

const of = (signer: ReturnType<typeof ticketSigner>, machine = "m", port = 3000, name = "misha.test") =>
  signer.ticketFor(machine, port, name)
const good = async (signed: ReturnType<typeof of>): Promise<SignedTicket> => {
  const ticket = await signed
  if (ticket instanceof TicketsLimited) throw ticket
  return ticket
}

describe("tickets of a signer", () => {
  it("are one for each machine, port and name, each with an id of its own", async () => {
    const signer = ticketSigner(signing)
    const asked = [of(signer), of(signer, "n"), of(signer, "m", 4096), of(signer, "m", 3000, "www.example.com")]
    const tickets = await Promise.all(asked.map(good))
    expect(tickets.map(({ ticket }) => decodeJwt(ticket))).toMatchObject([
      { aud: "m", port: 3000, name: "misha.test" },
      { aud: "n", port: 3000, name: "misha.test" },
      { aud: "m", port: 4096, name: "misha.test" },
      { aud: "m", port: 3000, name: "www.example.com" },
    ])
    const ids = tickets.map(({ ticket }) => decodeJwt(ticket).jti)
    expect(new Set(ids).size).toBe(4)
    for (const id of ids) expect(id).toMatch(/^[\w-]{22}$/)
  })

  it("are given again for half of their life, at once", async () => {
    const signer = ticketSigner(signing)
    const first = await good(of(signer))
    expect(of(signer)).toBe(first)
    vi.advanceTimersByTime(29_000)
    expect(of(signer)).toBe(first)
    vi.advanceTimersByTime(2_000)
    expect(await good(of(signer))).not.toBe(first)
  })

  it("of a clock that was an hour ahead are replaced once it is right, and one that is set meanwhile changes nothing", async () => {
    const verify = ticketVerifier(() => keys, "m")
    const keys = [await machineKey(signing, "m")]
    const signer = ticketSigner(signing)
    const now = Date.now()
    vi.setSystemTime(now + 3_600_000)
    const early = await good(of(signer))
    vi.setSystemTime(now)
    expect(await verify(early.ticket)).toMatchObject({ refusal: "invalid" })
    vi.advanceTimersByTime(31_000)
    const later = await good(of(signer))
    expect(later).not.toBe(early)
    expect(await verify(later.ticket)).toMatchObject({ port: 3000 })
    vi.setSystemTime(now - 3_600_000)
    expect(of(signer)).toBe(later)
  })

  it("are limited for each machine, so that no client of one costs another machine a ticket", async () => {
    const signer = ticketSigner(signing)
    const asked = Array.from({ length: 200 }, (_, i) => of(signer, "m", 1_000 + i))
    const limited = asked.filter((each) => each instanceof TicketsLimited)
    expect(limited).toHaveLength(200 - 64)
    expect(limited[0]).toMatchObject({ _tag: "TicketsLimited", retryAfterMs: 100 })
    expect(await good(of(signer, "n"))).toBeDefined()
    vi.advanceTimersByTime(100)
    expect(await good(of(signer, "m", 5_000))).toBeDefined()
    expect(of(signer, "m", 5_001)).toBeInstanceOf(TicketsLimited)
  })

  it("that are still good are given on while no other may be signed", async () => {
    const signer = ticketSigner(signing)
    const first = await good(of(signer))
    vi.advanceTimersByTime(40_000)
    for (let i = 0; i < 64; i++) void of(signer, "m", 1_000 + i)
    expect(of(signer)).toBe(first)
    vi.advanceTimersByTime(11_000)
    for (let i = 0; i < 200; i++) void of(signer, "m", 2_000 + i)
    expect(of(signer)).toBeInstanceOf(TicketsLimited)
  })

  it("that a machine refused are replaced once for all who hold them, within the machine's budget", async () => {
    const signer = ticketSigner(signing)
    const refused = await good(of(signer))
    expect(signer.renew("m", 3000, "misha.test", refused)).toBe(true)
    const next = await good(of(signer))
    expect(next).not.toBe(refused)
    expect(signer.renew("m", 3000, "misha.test", refused)).toBe(true)
    expect(of(signer)).toBe(next)
    for (let i = 0; i < 64; i++) void of(signer, "m", 1_000 + i)
    expect(signer.renew("m", 3000, "misha.test", next)).toBe(false)
    expect(of(signer)).toBe(next)
  })
})
