import { secretOfMachine } from "./machine-secret.ts"
import { monotonicNow } from "./monotonic-clock.ts"
import { stampsOf } from "./stamp.ts"
import type { ExpectedStamps } from "./stamp.ts"
import { newTicketId, signTicket, ticketMaxAgeMs } from "./ticket.ts"
import { importSigningKey, validateSigningKey } from "./ticket-keys.ts"
import type { SigningKey } from "./ticket-keys.ts"

/** A ticket, and what the responses to requests with it must bear. */
export interface SignedTicket {
  readonly ticket: string
  readonly stamps: ExpectedStamps
}

/** So many tickets were signed for one machine that the next one has to wait. */
export class TicketsLimited extends Error {
  readonly _tag = "TicketsLimited"
  override readonly name = "TicketsLimited"
  /** When the next ticket for this machine may be signed, in ms from now. */
  readonly retryAfterMs: number
  constructor(fields: { readonly retryAfterMs: number }) {
    super("too many tickets were signed for one machine in a short time")
    this.retryAfterMs = fields.retryAfterMs
  }
}

/** Gives tickets for the ports of machines. */
export interface TicketSigner {
  /**
   * A ticket for one port under one name. The same one again for half of its validity, because to sign costs more than the rest of
   * a request. Rejects with a `TypeError` if the halves of the key do not belong together.
   */
  readonly ticketFor: (
    machine: string,
    port: number,
    name: string,
  ) => SignedTicket | TicketsLimited | Promise<SignedTicket>
  /**
   * A machine has refused this ticket: the next one for its port is another one, if the machine's budget allows one. Says whether
   * another one is given from now on.
   */
  readonly renew: (machine: string, port: number, name: string, refused: SignedTicket) => boolean
}

/** What {@link ticketSigner} takes beside the key. */
export interface TicketSignerOptions {
  /** Whether responses of machines that cannot prove themselves count as proven. Default false. */
  readonly unprovenMachines?: boolean | undefined
}

/** How long one ticket is given again, in ms. */
const REUSED_MS = ticketMaxAgeMs / 2
/** When a ticket is still good for its way, in ms since it was signed: it is given for so long where no other may be signed. */
const GOOD_MS = ticketMaxAgeMs - 10_000
/** Signatures for one machine at once, and how long until one more is allowed. A machine has a few ports in use at a time. */
const BURST = 64
const REFILL_MS = 100
/** Tickets that are kept for one machine: as many as are signed while one is given again. */
const MAX_TICKETS = 512
const MAX_MACHINES = 10_000

/** What is kept of one machine, so that no machine's tickets cost another one its own. */
interface MachineTickets {
  readonly secret: Promise<CryptoKey>
  readonly tickets: Map<string, { readonly ticket: SignedTicket | Promise<SignedTicket>; readonly signedAt: number }>
  left: number
  refilledAt: number
}

/**
 * Gives tickets, and what proves the responses to them. Holds tickets of at most 10 000 machines, and drops the oldest machine
 * first. For one machine 64 tickets may be signed at once and 10 a second: beyond that it gives a `TicketsLimited`, for that
 * machine only. Durations do not depend on the wall clock; only what a ticket itself says of its time does.
 *
 * The key is imported at once. What cannot be seen before (halves of a pair that do not belong together) is a rejection with
 * a `TypeError` of every ticket.
 *
 * @throws {TypeError} for a key that cannot sign; the message never holds the key
 */
export const ticketSigner = (
  key: SigningKey,
  { unprovenMachines: unproven = false }: TicketSignerOptions = {},
): TicketSigner => {
  const problem = validateSigningKey(key)
  if (problem !== undefined) throw new TypeError(problem)
  importSigningKey(key).catch(() => {})
  const machines = new Map<string, MachineTickets>()

  const ofMachine = (machine: string, now: number): MachineTickets => {
    let of = machines.get(machine)
    if (of !== undefined) return of
    const secret = secretOfMachine(key, machine)
    secret.catch(() => {})
    of = { secret, tickets: new Map(), left: BURST, refilledAt: now }
    if (machines.size >= MAX_MACHINES) machines.delete(machines.keys().next().value!)
    machines.set(machine, of)
    return of
  }

  const maySign = (of: MachineTickets, now: number): boolean => {
    of.left = Math.min(BURST, of.left + (now - of.refilledAt) / REFILL_MS)
    of.refilledAt = now
    if (of.left < 1) return false
    of.left -= 1
    return true
  }

  const sign = async (of: MachineTickets, machine: string, port: number, name: string): Promise<SignedTicket> => {
    const id = newTicketId()
    const [ticket, stamps] = await Promise.all([
      signTicket(key, { machine, port, name, id }),
      of.secret.then((secret) => stampsOf(secret, { machine, id, port, name })),
    ])
    return { ticket, stamps: { ...stamps, unproven } }
  }

  const signNext = (of: MachineTickets, now: number, machine: string, port: number, name: string) => {
    const { tickets } = of
    const under = keyOf(port, name)
    const ticket = sign(of, machine, port, name)
    tickets.delete(under)
    tickets.set(under, { ticket, signedAt: now })
    if (tickets.size > MAX_TICKETS) tickets.delete(tickets.keys().next().value!)
    ticket.then(
      (value) => {
        if (tickets.get(under)?.ticket === ticket) tickets.set(under, { ticket: value, signedAt: now })
      },
      () => tickets.delete(under),
    )
    return ticket
  }

  return {
    ticketFor: (machine, port, name) => {
      const now = monotonicNow()
      const of = ofMachine(machine, now)
      const known = of.tickets.get(keyOf(port, name))
      if (known !== undefined && now - known.signedAt < REUSED_MS) return known.ticket
      if (maySign(of, now)) return signNext(of, now, machine, port, name)
      if (known !== undefined && now - known.signedAt < GOOD_MS) return known.ticket
      return new TicketsLimited({ retryAfterMs: Math.ceil((1 - of.left) * REFILL_MS) })
    },
    renew: (machine, port, name, refused) => {
      const now = monotonicNow()
      const of = ofMachine(machine, now)
      // Another request has done so already.
      if (of.tickets.get(keyOf(port, name))?.ticket !== refused) return true
      if (!maySign(of, now)) return false
      signNext(of, now, machine, port, name).catch(() => {})
      return true
    },
  }
}

const keyOf = (port: number, name: string): string => `${port} ${name}`
