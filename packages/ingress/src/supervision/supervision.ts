/**
 * Keeps a front's process: starts it so that it survives us, finds it again, stops it. And writes its unit for whoever else shall do that.
 * For Node, on Linux and macOS.
 *
 * @module
 */
export { caddySupervision, envoySupervision } from "./presets.ts"
export type { PresetOptions } from "./presets.ts"
export { superviseFront } from "./supervise-front.ts"
export type { FrontAdmin, StopOutcome, SuperviseOptions, SupervisedFront, SupervisionEvent } from "./supervise-front.ts"
export { AdminInUse, FrontNotReady } from "./errors.ts"
export { unitFile } from "./unit-file.ts"
export type { UnitKind, UnitService } from "./unit-file.ts"
