import type { RouteRecord } from "./record.ts"

/**
 * Whom a record is counted for: its owner, else its project. Of the record alone, so that all hostnames of a project are one.
 * `otherwise` is for a record that says neither, nor leads to a machine.
 */
export const projectKey = (record: RouteRecord, otherwise: string): string =>
  record.owner ?? record.externalId ?? (record.kind === "machine" ? record.machine.id : otherwise)
