/**
 * Traefik: its static and dynamic files, labels of containers and the stack's compose file, made of ingresses. Pure: runs anywhere.
 *
 * @module
 */
export { mergeOverrides } from "../documents/merge-overrides.ts"
export type { ListPolicies, ListPolicy } from "../documents/merge-overrides.ts"
export { checkTraefik } from "./check/check-traefik.ts"
export type { TraefikProblem } from "./check/problem.ts"
export { exportTraefik } from "./export-traefik.ts"
export { traefikLabels } from "./labels.ts"
export type { Labelled, LabelledRule } from "./labels.ts"
export type { TraefikAcme, TraefikCompose, TraefikOptions } from "./options.ts"
export { TraefikInvalid } from "./traefik-invalid.ts"
