import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"

/** The fields of the hop that a request has. */
export interface HopFields {
  /** The last ticket, and how many there are. */
  readonly ticket: string | undefined
  readonly tickets: number
  /** The last target, and how many there are. */
  readonly target: string | undefined
  readonly targets: number
  /** The last list of the fields that were for the platform's edge. Believed of a sender with a ticket only. */
  readonly edgeHeaders: string | undefined
  /** The last session's id. Believed of a sender with a ticket only. */
  readonly session: string | undefined
  /** The protocol of the port. Two are one that nobody knows: of two, every reader may choose another one. */
  readonly protocol: string | undefined
  /** Whether the field is there that only apps get: the request passed through this proxy before. */
  readonly looped: boolean
}

/** Reads the fields of the hop in one pass. */
export const hopFieldsReader = (names: HopHeaderNames): ((headers: HeaderList) => HopFields) => {
  // Lengths first: to compare a number is cheaper than to lower-case nearly every name.
  const viaLength = names.via.length
  const ticketLength = names.ticket.length
  const targetLength = names.targetHost.length
  const edgeLength = names.edgeHeaders.length
  const sessionLength = names.session.length
  const protocolLength = names.protocol.length
  return (headers) => {
    let ticket: string | undefined
    let target: string | undefined
    let tickets = 0
    let targets = 0
    let looped = false
    let edgeHeaders: string | undefined
    let session: string | undefined
    let protocol: string | undefined
    for (let i = 0; i < headers.length; i += 2) {
      const name = headers[i]!
      const length = name.length
      if (
        length !== viaLength &&
        length !== ticketLength &&
        length !== targetLength &&
        length !== edgeLength &&
        length !== sessionLength &&
        length !== protocolLength
      )
        continue
      const lower = name.toLowerCase()
      if (lower === names.via) looped = true
      else if (lower === names.ticket) {
        tickets++
        ticket = headers[i + 1]!
      } else if (lower === names.targetHost) {
        targets++
        target = headers[i + 1]!
      } else if (lower === names.edgeHeaders) edgeHeaders = headers[i + 1]!
      else if (lower === names.session) session = headers[i + 1]!
      else if (lower === names.protocol) protocol = protocol === undefined ? headers[i + 1]! : ","
    }
    return { ticket, tickets, target, targets, edgeHeaders, session, protocol, looped }
  }
}

/**
 * The names in a list of fields for the edge, lower case. The last list is kept: a router names the same ones each time. What frames
 * the message is never among them.
 */
export const edgeHeadersReader = (): ((list: string | undefined) => ReadonlySet<string> | undefined) => {
  let last: string | undefined
  let names: ReadonlySet<string> | undefined
  return (list) => {
    if (list === last) return names
    last = list
    const read = list?.split(",").map((name) => name.trim().toLowerCase())
    names = read && new Set(read.filter((name) => name !== "content-length"))
    return names
  }
}
