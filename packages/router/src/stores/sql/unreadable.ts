import type { RouteRecord } from "../record.ts"

/** A record that no router takes, in place of one that cannot be read: its hostnames fail (500), and no others. */
export const unreadable = (version: number): RouteRecord => ({ kind: "unreadable", epoch: 0, version }) as never
