/**
 * For adapter authors. The contract, `MachineProvider`, and its errors are in the package's main entry; here is what most
 * adapters need to implement it: a client for a vendor's HTTP API, and a decoder for a machine's metadata.
 */
export { machineRef } from "./contract/errors.ts"
export type { MachineRef } from "./contract/errors.ts"
export { metadataDecoder } from "./adapter-kit/metadata-decoder.ts"
export { retryAfterMs } from "./adapter-kit/retry-after.ts"
export { vendorApi } from "./adapter-kit/vendor-api.ts"
export type { VendorApi, VendorApiOptions, VendorRequest, VendorResponse } from "./adapter-kit/vendor-api.ts"
