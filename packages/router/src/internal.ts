/** What only the packages of this project need from the router. No promise is made about it: not part of the public API. */
export {
  accept,
  canonicalAddress,
  checkOptions,
  cidrMatcher,
  escapedHtml,
  isToken,
  monotonicNow,
  nearest,
} from "@project-ingress/forward/internal"
export type { OptionCheck } from "@project-ingress/forward/internal"
export { decodeRecord, problemMessage } from "./stores/decode-record.ts"
export { randomId } from "./stores/registry/random-id.ts"
export { orMissingTables } from "./stores/missing-tables.ts"
export { PORT_SETTINGS } from "./stores/settings.ts"
export { bindValues, jsonRows } from "./stores/sql/database.ts"
export { queryRows } from "./stores/sql/postgres-query.ts"
export { resultRows } from "./stores/result-rows.ts"
