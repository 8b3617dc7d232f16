/**
 * Envoy's configuration from ingresses: pure functions that run everywhere.
 *
 * @module
 */
export { exportEnvoy } from "./export-envoy.ts"
export { envoyOptionsFromEnvironment } from "./options.ts"
export type { EnvoyCertificate, EnvoyOptions, EnvoyTelemetry } from "./options.ts"
