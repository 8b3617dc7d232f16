/**
 * Drives an Envoy by the files that it watches, or by one file and a restart. For Node.
 *
 * @module
 */
export { envoyFront } from "./envoy/front/envoy-front.ts"
export type { EnvoyFrontOptions } from "./envoy/front/envoy-front.ts"
