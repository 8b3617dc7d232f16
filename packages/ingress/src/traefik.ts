/**
 * Traefik: its static and dynamic files, labels of containers and the stack's compose file, made of ingresses. Pure: runs anywhere.
 *
 * @module
 */
export { mergeOverrides } from "./documents/merge-overrides.ts"
export type { ListPolicies, ListPolicy } from "./documents/merge-overrides.ts"
export { checkTraefik } from "./traefik/check/check-traefik.ts"
export type { TraefikProblem } from "./traefik/check/problem.ts"
export { exportTraefik } from "./traefik/export-traefik.ts"
export { traefikLabels } from "./traefik/labels.ts"
export type { Labelled, LabelledRule } from "./traefik/labels.ts"
export type { TraefikAcme, TraefikCompose, TraefikOptions } from "./traefik/options.ts"
export { TraefikInvalid } from "./traefik/traefik-invalid.ts"
