/**
 * Ingress resources: hostnames and where their requests go, declared once, for the router and for Caddy, Traefik and Envoy.
 *
 * @module
 */
export { createIngresses } from "./control/create-ingresses.ts"
export { StorageUnavailable } from "./control/ask-storage.ts"
export type * from "./control/ingresses.ts"
export { LookupUnavailable } from "./control/look-up.ts"
export type * from "./control/status.ts"
export { decodeIngress } from "./resource/decode-ingress.ts"
export * from "./resource/errors.ts"
export { IngressSchema } from "./resource/ingress-schema.ts"
export { matchPort } from "./resource/ingress.ts"
export type * from "./resource/ingress.ts"
export { compareRules } from "./resource/precedence.ts"
export type { RankedRule } from "./resource/precedence.ts"
export { RevisionConflict } from "./storage/ingress-storage.ts"
export type * from "./storage/ingress-storage.ts"
export type * from "./fronts/front.ts"
export { memoryStorage } from "./storage/memory-storage.ts"
export type { NotedStorage } from "./storage/memory-storage.ts"
export { DocumentRefused, StorageLocked, StorageUnusable } from "./storage/storage-errors.ts"
export type { StorageError } from "./storage/storage-errors.ts"
