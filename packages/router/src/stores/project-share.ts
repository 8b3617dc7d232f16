import type { RouteRecord } from "./record.ts"

/**
 * Whose share of a host a record's requests are counted to: its owner's, else its project's. Of the record alone, so that all hostnames
 * of a project are one, and said which it is, or one tenant's project could have the name of another owner. `otherwise` is for a
 * record that says neither, nor leads to a machine.
 */
export const projectShare = (record: RouteRecord, otherwise: string): string => {
  if (record.owner !== undefined) return `owner ${record.owner}`
  if (record.externalId !== undefined) return `project ${record.externalId}`
  return record.kind === "machine" ? `machine ${record.machine.id}` : otherwise
}
