/** What only the packages of this project need from each other. No promise is made about it: not part of the public API. */
export { providerErrors } from "./contract/error-rows.ts"
export { makeFailureBudget } from "./machines/failure-budget.ts"
export { checkMachinesOptions, machinesOptionChecks } from "./machines/machines-options.ts"
export { bodyOf, fetchAddress, fetchTransport } from "./transport/fetch-transport.ts"
export { inboundFields, isWorkerd, knownBody } from "./transport/inbound-request.ts"
export { machineRequestHeaders } from "./transport/request-headers.ts"
export type { MachineHop } from "./transport/request-headers.ts"
export { observedBody } from "./transport/observed-body.ts"
