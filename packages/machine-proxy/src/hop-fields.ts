import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"

/** The fields of the hop that a request has. */
export interface HopFields {
  /** The last ticket, and how many there are. */
  readonly ticket: string | undefined
  readonly tickets: number
  /** The last target, and how many there are. */
  readonly target: string | undefined
  readonly targets: number
  /** Whether the field is there that only apps get: the request passed through this proxy before. */
  readonly looped: boolean
}

/** Reads the fields of the hop in one pass. */
export const hopFieldsReader = (names: HopHeaderNames): ((headers: HeaderList) => HopFields) => {
  // Lengths first: to compare a number is cheaper than to lower-case nearly every name.
  const viaLength = names.via.length
  const ticketLength = names.ticket.length
  const targetLength = names.targetHost.length
  return (headers) => {
    let ticket: string | undefined
    let target: string | undefined
    let tickets = 0
    let targets = 0
    let looped = false
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      const length = name.length
      if (length !== viaLength && length !== ticketLength && length !== targetLength) continue
      const lower = name.toLowerCase()
      if (lower === names.via) looped = true
      else if (lower === names.ticket) {
        tickets++
        ticket = headers[i + 1]!
      } else if (lower === names.targetHost) {
        targets++
        target = headers[i + 1]!
      }
    }
    return { ticket, tickets, target, targets, looped }
  }
}
