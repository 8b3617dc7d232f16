/**
 * For who writes a provider. The contract, `MachineProvider`, and its errors are in the package's main entry; here is what
 * most adapters do on their way to them: ask a vendor's HTTP API with a secret, and read a machine's metadata.
 */
export { where } from "./errors.ts"
export type { Where } from "./errors.ts"
export { metadataDecoder } from "./metadata.ts"
export { retryAfterMs } from "./retry-after.ts"
export { vendorApi } from "./vendor-api.ts"
export type { VendorAnswer, VendorApi, VendorApiOptions, VendorQuestion } from "./vendor-api.ts"
