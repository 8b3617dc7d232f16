import type { ErrorRow } from "@project-ingress/forward"
import { regionErrors } from "./error-rows.ts"

/** A request belongs to another region and cannot be sent there. */
export class RegionUnreachable extends Error {
  readonly _tag = "RegionUnreachable"
  override readonly name = "RegionUnreachable"
  /** The region that the record names. */
  readonly region: string
  /** How it looks to a client: 504 if the region took too long, else 502. Outside the table of rows: a router with one region has none of this. */
  readonly row: ErrorRow
  constructor(fields: {
    readonly region: string
    /** Why, for logs: `ECONNREFUSED`. */
    readonly reason: string
    readonly timedOut?: boolean
    readonly cause?: unknown
  }) {
    super(`region ${fields.region} cannot be reached: ${fields.reason}`, { cause: fields.cause })
    this.region = fields.region
    this.row = fields.timedOut === true ? regionErrors.RegionTimeout : regionErrors.RegionUnreachable
  }
}
