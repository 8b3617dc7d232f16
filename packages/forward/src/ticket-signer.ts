import { makeBudget } from "./budget.ts"
import { makeDividedTable } from "./divided-table.ts"
import { secretOfMachine } from "./machine-secret.ts"
import { monotonicNow } from "./monotonic-clock.ts"
import { stampsOf } from "./stamp.ts"
import type { ExpectedStamps } from "./stamp.ts"
import { newTicketId, signTicket, ticketMaxAgeMs } from "./ticket.ts"
import type { TicketScope, TicketUse } from "./ticket.ts"
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
  /**
   * A ticket for what a scope allows at one machine, as `ticketFor` gives one for a port. Signatures for visitors are counted apart, so
   * that no visitor leaves the router without a ticket to end that visitor's access.
   */
  readonly scopedTicketFor: (
    machine: string,
    scope: TicketScope,
  ) => SignedTicket | TicketsLimited | Promise<SignedTicket>
  /** As `renew`, for a ticket with a scope. */
  readonly renewScoped: (machine: string, scope: TicketScope, refused: SignedTicket) => boolean
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

/** A ticket that is given again; a promise until it is signed. By `monotonicNow`. */
interface KeptTicket {
  readonly ticket: SignedTicket | Promise<SignedTicket>
  readonly signedAt: number
}

/**
 * Gives tickets, and what proves the responses to them. Holds at most 10 000 tickets, divided among the machines, so that no
 * machine's tickets cost another one its own. For one machine 64 tickets may be signed at once and 10 a second: beyond that it
 * gives a `TicketsLimited`, for that machine only. Durations do not depend on the wall clock; only what a ticket itself says of
 * its time does.
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
  const tickets = makeDividedTable<KeptTicket>()
  const secrets = makeDividedTable<Promise<CryptoKey>>()
  const signatures = makeBudget({ burst: BURST, refillMs: REFILL_MS })

  const secretOf = (machine: string): Promise<CryptoKey> => {
    let secret = secrets.get(wholeMachine(machine))
    if (secret === undefined) {
      secret = secretOfMachine(key, machine)
      secrets.set(wholeMachine(machine), secret)
    }
    return secret
  }

  const sign = async (machine: string, use: TicketUse): Promise<SignedTicket> => {
    const id = newTicketId()
    const [ticket, stamps] = await Promise.all([
      signTicket(key, { ...use, machine, id }),
      secretOf(machine).then((secret) => stampsOf(secret, { ...use, machine, id })),
    ])
    return { ticket, stamps: { ...stamps, unproven } }
  }

  const signNext = (machine: string, use: TicketUse, signedAt: number): Promise<SignedTicket> => {
    const entry = entryOf(machine, use)
    const ticket = sign(machine, use)
    tickets.set(entry, { ticket, signedAt })
    const isCurrent = () => tickets.get(entry)?.ticket === ticket
    ticket.then(
      (value) => isCurrent() && tickets.set(entry, { ticket: value, signedAt }),
      () => isCurrent() && tickets.delete(entry),
    )
    return ticket
  }

  const ticketToUse = (machine: string, use: TicketUse): ReturnType<TicketSigner["ticketFor"]> => {
    const now = monotonicNow()
    const kept = tickets.get(entryOf(machine, use))
    const age = kept === undefined ? Infinity : now - kept.signedAt
    if (age < REUSED_MS) return kept!.ticket
    if (signatures.take(budgetOf(machine, use), now)) return signNext(machine, use, now)
    return age < GOOD_MS ? kept!.ticket : new TicketsLimited({ retryAfterMs: REFILL_MS })
  }

  const renew = (machine: string, use: TicketUse, refused: SignedTicket): boolean => {
    // Another request has done so already.
    if (tickets.get(entryOf(machine, use))?.ticket !== refused) return true
    const now = monotonicNow()
    if (!signatures.take(budgetOf(machine, use), now)) return false
    signNext(machine, use, now).catch(() => {})
    return true
  }

  return {
    ticketFor: (machine, port, name) => ticketToUse(machine, { port, name }),
    renew: (machine, port, name, refused) => renew(machine, { port, name }, refused),
    scopedTicketFor: (machine, scope) => ticketToUse(machine, { scope }),
    renewScoped: (machine, scope, refused) => renew(machine, { scope }, refused),
  }
}

// A scope is no port, so that no two of these are the same.
const entryOf = (machine: string, { port, name, scope }: TicketUse) => ({
  share: machine,
  key: scope === undefined ? `${port} ${name}` : `scope ${scope}`,
})

const budgetOf = (machine: string, { scope }: TicketUse) => ({ share: scope ?? "", key: machine })

/** Where the one entry of a machine is kept: all in one share, of which the oldest makes room. */
const wholeMachine = (machine: string) => ({ share: "", key: machine })
