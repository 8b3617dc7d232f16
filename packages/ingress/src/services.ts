/**
 * Services that customers declare of their projects, in a file like `iterate.config.ts`: checked, applied, and planned.
 *
 * @module
 */
export { applyServices } from "./services/apply-services.ts"
export type { AppliedServices, ApplyServicesOptions } from "./services/apply-services.ts"
export { ConfigInvalid } from "./services/config-invalid.ts"
export { decodeConfig } from "./services/decode-config.ts"
export type { DecodeConfigOptions } from "./services/decode-config.ts"
export { formatServicePlan } from "./services/format-service-plan.ts"
export { ServiceConflict } from "./services/service-conflict.ts"
export { servicePlan } from "./services/service-plan.ts"
export type {
  PlannedHostname,
  PlannedService,
  PlannedShape,
  ServicePlan,
  ServicePlanOptions,
  SiteShape,
} from "./services/service-plan.ts"
export { defineConfig } from "./services/services-config.ts"
export type { DeclaredService, ServicesConfig } from "./services/services-config.ts"
