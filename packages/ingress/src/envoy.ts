/**
 * Envoy's configuration from ingresses: pure functions that run everywhere.
 *
 * @module
 */
export { exportEnvoy } from "./envoy/export-envoy.ts"
export { envoyOptionsFromEnvironment } from "./envoy/options.ts"
export type { EnvoyCertificate, EnvoyOptions, EnvoyTelemetry } from "./envoy/options.ts"
