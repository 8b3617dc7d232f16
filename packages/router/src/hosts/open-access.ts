import { monotonicNow, startDeadline } from "@project-ingress/forward/internal"
import type { IncomingRequest } from "@project-ingress/forward/sockets"
import type { Visitor } from "../policies/visitor.ts"
import type { AccessCheck } from "../program/check-access.ts"
import type { RouteToMachine } from "../program/resolve-route.ts"
import type { VisitorRequest } from "../program/sender.ts"
import type { AccessWithdrawnEvent } from "../router-options.ts"
import type { RouterProgram } from "../router-program.ts"

/** What is open of visitors whom a policy has proven, in one host. */
export interface OpenAccess {
  /**
   * From now until it is over, a request is ended once its visitor would no longer be let in. Gives what forgets it again, for one that is
   * sent elsewhere.
   */
  readonly watch: (opened: Opened) => () => void
}

/** A request whose visitor was let in. */
interface Opened {
  readonly request: Pick<IncomingRequest, "onOver" | "withdrawal">
  readonly visit: VisitorRequest
  readonly visitor: Visitor
  readonly route: RouteToMachine
}

/** Between two checks of one visitor on one route, in ms: with the tick and the check itself less than 5 s. */
const CHECK_MS = 2_800
const JITTER_MS = 900
/** How often it is looked for what is due, in ms. */
const TICK_MS = 250
/** So many checks run at a time: a policy may ask somebody else. */
const AT_ONCE = 256
/** How long one may take, in ms. */
const CHECK_TIMEOUT_MS = 4_000
/** For how long nobody may be able to tell, in ms. */
const UNKNOWN_MS = 60_000

/** The open requests of one visitor on one route, which are let in and ended together. */
interface Group {
  readonly key: string
  readonly open: Set<() => void>
  /** The first of them, without its connection. */
  readonly visit: Omit<VisitorRequest, "signal">
  readonly visitor: Visitor
  readonly route: RouteToMachine
  readonly generation: number
  dueAt: number
  /** When it was last known that the visitor is let in, by `monotonicNow`. */
  knownAt: number
  isChecking: boolean
}

type Reason = AccessWithdrawnEvent["reason"]

/** One timer for all, which runs while something is open; each group is checked every 3 to 4 s, however many requests it has. */
export const openAccess = (program: Pick<RouterProgram, "checkAccess" | "onWithdrawn" | "report">): OpenAccess => {
  const groups = new Map<string, Group>()
  /** Of the last tick. Most requests are over before they are more than that. */
  const fresh = new Set<Opened>()
  const due: Group[] = []
  let checking = 0
  let timer: NodeJS.Timeout | undefined

  const end = (group: Group, reason: Reason): void => {
    const { route, visit, open, key } = group
    if (groups.get(key) === group) groups.delete(key)
    const count = open.size
    if (count === 0) return
    for (const withdraw of open) withdraw()
    program.report({
      type: "access_withdrawn",
      host: visit.host,
      machine: route.machine.id,
      port: route.port,
      reason,
      count,
    })
  }

  const check = async (group: Group): Promise<void> => {
    const aborted = new AbortController()
    const settled = startDeadline(CHECK_TIMEOUT_MS, () => aborted.abort())
    const found: AccessCheck = await program
      .checkAccess({ ...group.visit, signal: aborted.signal }, group.route.machine.id)
      .catch(() => ({ access: "unknown" }) as const)
    settled()
    const now = monotonicNow()
    if (found.access === "ended") end(group, found.reason)
    else if (found.access === "unknown") {
      if (now - group.knownAt > UNKNOWN_MS) end(group, "unknown")
    } else if (found.generation > group.generation) end(group, "generation")
    else group.knownAt = now
  }

  const pump = (): void => {
    while (checking < AT_ONCE) {
      const group = due.shift()
      if (group === undefined) return
      checking++
      void check(group).finally(() => {
        checking--
        group.isChecking = false
        group.dueAt = monotonicNow() + nextCheckMs()
        pump()
      })
    }
  }

  const tick = (): void => {
    timer = undefined
    gather()
    const now = monotonicNow()
    for (const group of groups.values()) {
      if (hasEnded(group.visitor)) end(group, "expired")
      else if (!group.isChecking && group.dueAt <= now) {
        group.isChecking = true
        due.push(group)
      }
    }
    pump()
    goOn()
  }

  const goOn = (): void => {
    if (timer !== undefined || (groups.size === 0 && fresh.size === 0)) return
    timer = setTimeout(tick, TICK_MS)
    timer.unref()
  }

  const groupOf = ({ visit, visitor, route }: Opened): Group => {
    const generation = route.record.generation ?? 0
    const key = keyOf(visit, visitor, route, generation)
    let group = groups.get(key)
    if (group === undefined) {
      const now = monotonicNow()
      const open = new Set<() => void>()
      const head = headOf(visit)
      group = {
        key,
        open,
        visit: head,
        visitor,
        route,
        generation,
        dueAt: now + nextCheckMs(),
        knownAt: now,
        isChecking: false,
      }
      groups.set(key, group)
    }
    return group
  }

  const gather = (): void => {
    for (const opened of fresh) {
      const group = groupOf(opened)
      const withdraw = opened.request.withdrawal()
      group.open.add(withdraw)
      opened.request.onOver(() => {
        group.open.delete(withdraw)
        if (group.open.size === 0 && groups.get(group.key) === group) groups.delete(group.key)
      })
    }
    fresh.clear()
  }

  program.onWithdrawn.add((sessions, machines) => {
    gather()
    for (const group of groups.values()) {
      const isMeant = sessions === "all" || sessions.includes(group.visitor.id)
      if (isMeant && machines.has(group.route.machine.id)) end(group, "session")
    }
  })

  return {
    watch: (opened) => {
      const forget = () => void fresh.delete(opened)
      fresh.add(opened)
      opened.request.onOver(forget)
      goOn()
      return forget
    },
  }
}

const nextCheckMs = (): number => CHECK_MS + JITTER_MS * Math.random()

const hasEnded = ({ expiresAt }: Visitor): boolean => expiresAt !== undefined && expiresAt <= Date.now()

/** What a verdict may depend on. A policy that looks at more of a request than this decides for all by the first of them. */
const keyOf = (visit: VisitorRequest, visitor: Visitor, route: RouteToMachine, generation: number): string =>
  JSON.stringify([
    visitor.id,
    visitor.by,
    visitor.subject,
    visitor.expiresAt,
    visit.host,
    visit.localPort,
    visit.clientAddress,
    route.key,
    route.machine.id,
    route.port,
    generation,
  ])

/** A request's head by itself, so that a group does not keep the connection of a request that is over. */
const headOf = ({
  method,
  host,
  path,
  headers,
  scheme,
  clientAddress,
  hop,
  localPort,
  upgrade,
}: VisitorRequest): Group["visit"] => ({ method, host, path, headers, scheme, clientAddress, hop, localPort, upgrade })
