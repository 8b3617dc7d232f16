/**
 * Which certificates the hostnames of ingresses need, and for which names one may be issued.
 *
 * @module
 */
export { askHandler } from "./ask-handler.ts"
export type { AskOptions } from "./ask-handler.ts"
export { certificatePlan } from "./certificate-plan.ts"
export type { CertificatePlan, CertificatePlanOptions } from "./certificate-plan.ts"
