import { monotonicNow } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"

/** Which open exchanges and WebSockets belong to which session. As many as the engine has connections, at most. */
export interface OpenSessions {
  /** Counts a request to its session until it is over. False: the session was ended a moment ago, and the request must not begin. */
  readonly open: (session: string, request: IncomingRequest) => boolean
  /** Ends what is open of these sessions, or of every one that has a name. Gives how many were ended. */
  readonly end: (sessions: readonly string[] | "all") => number
}

/** A request that the router let in before the withdrawal may be on its way for so long, in ms. */
const REFUSED_MS = 5_000
const MAX_REFUSED = 10_000

export const openSessions = (): OpenSessions => {
  const open = new Map<string, Set<() => void>>()
  /** Sessions that were ended, the oldest first, and until when. */
  const refused = new Map<string, number>()

  const refuse = (session: string, now: number): void => {
    refused.delete(session)
    refused.set(session, now + REFUSED_MS)
    for (const [oldest, until] of refused) {
      if (until > now && refused.size <= MAX_REFUSED) break
      refused.delete(oldest)
    }
  }

  return {
    open: (session, request) => {
      const until = refused.get(session)
      if (until !== undefined) {
        if (until > monotonicNow()) return false
        refused.delete(session)
      }
      const withdraw = request.withdrawal()
      let own = open.get(session)
      if (own === undefined) open.set(session, (own = new Set()))
      own.add(withdraw)
      const those = own
      request.onOver(() => {
        those.delete(withdraw)
        if (those.size === 0 && open.get(session) === those) open.delete(session)
      })
      return true
    },
    end: (sessions) => {
      const now = monotonicNow()
      let ended = 0
      for (const session of sessions === "all" ? [...open.keys()] : sessions) {
        if (sessions !== "all") refuse(session, now)
        for (const withdraw of open.get(session) ?? []) {
          withdraw()
          ended++
        }
      }
      return ended
    },
  }
}

/** Whether a text names a session, as `Visitor.id` of the router does. */
export const isSessionId = (value: unknown): value is string =>
  typeof value === "string" && /^[\w-]{1,128}$/.test(value)
