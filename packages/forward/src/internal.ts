/** What only the packages of this project need from each other. No promise is made about it: not part of the public API. */
export { accept, checkOptions, kindOf } from "./options.ts"
export type { CheckOptionsSettings, OptionCheck } from "./options.ts"
export type { AddressRule } from "./address.ts"
export { addressChecker, hostChecker, literalOf, nameMatcher } from "./address.ts"
export { validateSigningKey, validateVerificationKey } from "./ticket-keys.ts"
export { setsCookie, withoutCookies } from "./edge-cookies.ts"
export { headerValues } from "./header-list.ts"
export { validHeaderNames } from "./header-names.ts"
