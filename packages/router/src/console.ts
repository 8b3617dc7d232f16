/** A page for operators: where a hostname leads, where it stops, and why. */
export { createConsole } from "./console/create-console.ts"
export type { ConsoleOptions } from "./console/create-console.ts"
export type { ConsoleData } from "./console/console-data.ts"
export { recentEvents } from "./console/recent-events.ts"
export type {
  RecentError,
  RecentEvents,
  RecentFailure,
  RecentMachine,
  RecentSnapshot,
} from "./console/recent-events.ts"
