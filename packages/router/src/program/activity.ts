import { makeUseReports } from "@project-ingress/providers/internal"
import type { RouteToMachine } from "./resolve-route.ts"

/** A machine is in use by visitors. */
export interface Activity {
  /** The id of the machine. */
  readonly machine: string
  /** The machine's `type`. */
  readonly provider: string
  /** The provider's name of the machine. */
  readonly externalId: string
  /** The record's owner, if it has one. */
  readonly owner?: string
  /** The port that was asked for; others may be in use, too. */
  readonly port: number
  /** When, in ms since 1970. */
  readonly at: number
  /** True for a response or a WebSocket that has been open since it was reported before; false for one that has just begun. */
  readonly open: boolean
}

/** How activity is reported. */
export interface ActivityOptions {
  /**
   * Hears that visitors use a machine: of each machine at most once in `activityIntervalMs`, and as long as a response or a WebSocket
   * is open, except a WebSocket that a Worker has passed on. Health checks are no use. A promise that it gives goes to `waitUntil`; what
   * it throws or rejects with is ignored.
   */
  readonly onActivity?: ((activity: Activity) => void | Promise<unknown>) | undefined
  /** In ms, 1 000 or more, 60 000. */
  readonly activityIntervalMs?: number | undefined
}

/** Reports activity. */
export interface ActivityReports {
  readonly markUsed: (
    route: RouteToMachine,
    closed: Promise<unknown> | undefined,
    waitUntil: ((work: Promise<unknown>) => void) | undefined,
  ) => void
}

/** `undefined` where nobody wants to know. */
export const activityReports = (options: ActivityOptions): ActivityReports | undefined => {
  const { onActivity, activityIntervalMs: intervalMs = 60_000 } = options
  if (onActivity === undefined) return undefined
  const report = async ({ machine, record, port }: RouteToMachine, open: boolean): Promise<void> => {
    try {
      const { id, type: provider, externalId } = machine
      const { owner } = record
      const whose = owner === undefined ? {} : { owner }
      await onActivity({ machine: id, provider, externalId, ...whose, port, at: Date.now(), open })
    } catch {
      // A hook that fails must fail no request.
    }
  }
  const reports = makeUseReports({ intervalMs, report })
  return {
    markUsed: (route, closed, waitUntil) => {
      const { machine, record } = route
      const share = record.owner === undefined ? `machine ${machine.id}` : `owner ${record.owner}`
      const key = JSON.stringify([machine.type, machine.externalId, machine.id])
      reports.markUsed({ share, key }, route, closed, waitUntil)
    },
  }
}
