/** What only the packages of this project need from the router. No promise is made about it: not part of the public API. */
export {
  accept,
  canonicalAddress,
  checkOptions,
  cidrMatcher,
  escapedHtml,
  isToken,
  isWorkerd,
  monotonicNow,
  nearest,
} from "@project-ingress/forward/internal"
export type { OptionCheck } from "@project-ingress/forward/internal"
export { progressLine } from "./commands/progress-line.ts"
export { decodeRecord, problemMessage } from "./stores/decode-record.ts"
export { isGrammar } from "./stores/is-grammar.ts"
export { isRouteKey } from "./stores/route-key.ts"
export { makeSharedLoads } from "./stores/reading/shared-loads.ts"
export { quietly } from "./stores/quietly.ts"
export { within } from "./stores/reading/within.ts"
export { AmbiguousReference, VersionConflict } from "./stores/registry/errors.ts"
export { randomId } from "./stores/registry/random-id.ts"
export { orMissingTables } from "./stores/missing-tables.ts"
export { isObject } from "./stores/shape.ts"
export { PORT_SETTINGS } from "./stores/settings.ts"
export { bindValues, jsonRows } from "./stores/sql/database.ts"
export { queryRows } from "./stores/sql/postgres-query.ts"
export { resultRows } from "./stores/result-rows.ts"
export { turns } from "./stores/turns.ts"
export { claim } from "./testing/claim.ts"
export { registerLaws } from "./testing/register-laws.ts"
