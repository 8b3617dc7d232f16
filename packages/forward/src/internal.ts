/** What only the packages of this project need from each other. No promise is made about it: not part of the public API. */
export { accept, checkOptions, kindOf } from "./options.ts"
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
export { validateSigningKey, validateVerificationKey } from "./ticket-keys.ts"
export { setsCookie, withoutCookies } from "./edge-cookies.ts"
export { connectionFields, isIdentityField } from "./header-rules.ts"
export { pseudonyms } from "./proxy-status.ts"
export { headerValues } from "./header-list.ts"
export { appValue, isTunnelledCaching } from "./response-headers.ts"
export { validHeaderNames } from "./header-names.ts"
export { isToken } from "./field-syntax.ts"
export { isAuthority } from "./http1/request-reader.ts"
export { validGeneratedResponse } from "./generated-response.ts"
export { repeatedReport } from "./sockets/io/repeated-report.ts"
export { errorEvent } from "./sockets/contract/events.ts"
export { failureCode } from "./failure-code.ts"
export { validErrorDocs } from "./error-docs.ts"
export { errorRow } from "./error-row.ts"
export { upstreamErrors } from "./upstream-errors.ts"
export { isRequestId, nextRequestId } from "./request-id.ts"
export { isSafe } from "./safe-method.ts"
export { isThenable } from "./thenable.ts"
