/** What only the packages of this project need from each other. No promise is made about it: not part of the public API. */
export { accept, checkOptions, kindOf, nearest } from "./options.ts"
export type { CheckOptionsSettings, OptionCheck } from "./options.ts"
export type { AddressRule } from "./address.ts"
export {
  addressChecker,
  canonicalAddress,
  cidrMatcher,
  clientNetwork,
  hostChecker,
  literalOf,
  nameMatcher,
} from "./address.ts"
export { clientFields, publicPort } from "./client-fields.ts"
export { validateSigningKey, validateVerificationKey } from "./ticket-keys.ts"
export { isProven, proofOf, UNPROVEN } from "./stamp.ts"
export { monotonicNow } from "./monotonic-clock.ts"
export { isRefusedTicket } from "./ticket-verifier.ts"
export { setsCookie, withoutCookies } from "./edge-cookies.ts"
export { connectionFields, isIdentityField } from "./header-rules.ts"
export { pseudonyms } from "./proxy-status.ts"
export { headerValues } from "./header-list.ts"
export { appValue, isTunnelledCaching } from "./response-headers.ts"
export { validHeaderNames } from "./header-names.ts"
export { isToken } from "./field-syntax.ts"
export { isAuthority } from "./http1/request-reader.ts"
export { validGeneratedResponse } from "./generated-response.ts"
export { jsonLine } from "./json-line.ts"
export { repeatedReport } from "./repeated-report.ts"
export { errorEvent } from "./sockets/contract/events.ts"
export { failureCode } from "./failure-code.ts"
export { A_PUBLIC_KEY_PIN, isPublicKeyPin, PIN_MISMATCH, PIN_NOT_SUPPORTED } from "./public-key-pin.ts"
export { validErrorDocs } from "./error-docs.ts"
export { errorRow } from "./error-row.ts"
export { upstreamErrors } from "./upstream-errors.ts"
export { derivedBytes, hmacKey } from "./machine-secret.ts"
export { base64url } from "./base64url.ts"
export { framed } from "./framed.ts"
export { isRequestId, nextRequestId } from "./request-id.ts"
export { isSafe } from "./safe-method.ts"
export { isThenable } from "./thenable.ts"
export { isWorkerd } from "./is-workerd.ts"
export { makeBudget } from "./budget.ts"
export type { Budget } from "./budget.ts"
export { makeDividedTable } from "./divided-table.ts"
export type { DividedKey } from "./divided-table.ts"
export { isTimedOut } from "./timed-out.ts"
export { defaultGraceMs, healthResponse } from "./stopping.ts"
export { startDeadline } from "./start-deadline.ts"
