/**
 * Which certificates the hostnames of ingresses need, and for which names one may be issued.
 *
 * @module
 */
export { askHandler } from "./certificates/ask-handler.ts"
export type { AskOptions } from "./certificates/ask-handler.ts"
export { certificatePlan } from "./certificates/certificate-plan.ts"
export type { CertificatePlan, CertificatePlanOptions } from "./certificates/certificate-plan.ts"
