/**
 * For who writes a provider. The contract, `MachineProvider`, and its errors are in the package's main entry; here is what
 * most adapters do on their way to them: ask a vendor's HTTP API with a secret, and read a machine's metadata.
 */
export { machineRef } from "./contract/errors.ts"
export type { MachineRef } from "./contract/errors.ts"
export { metadataDecoder } from "./adapter-kit/metadata-decoder.ts"
export { retryAfterMs } from "./adapter-kit/retry-after.ts"
export { vendorApi } from "./adapter-kit/vendor-api.ts"
export type { VendorResponse, VendorApi, VendorApiOptions, VendorRequest } from "./adapter-kit/vendor-api.ts"
