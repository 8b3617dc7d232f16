/**
 * Keeps a front's process: starts it so that it survives us, finds it again, stops it. And writes its unit for whoever else shall do that.
 * For Node, on Linux and macOS.
 *
 * @module
 */
export { caddySupervision, envoySupervision } from "./supervision/presets.ts"
export type { PresetOptions } from "./supervision/presets.ts"
export { superviseFront } from "./supervision/supervise-front.ts"
export type {
  FrontAdmin,
  StopOutcome,
  SuperviseOptions,
  SupervisedFront,
  SupervisionEvent,
} from "./supervision/supervise-front.ts"
export { AdminInUse, FrontNotReady } from "./supervision/errors.ts"
export { unitFile } from "./supervision/unit-file.ts"
export type { UnitKind, UnitService } from "./supervision/unit-file.ts"
