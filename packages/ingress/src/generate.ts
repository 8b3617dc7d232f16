/**
 * The command `project-ingress generate` as functions, for Node: for exporters of your own.
 *
 * @module
 */
export { loadProjects } from "./generate/load-projects.ts"
export type { LoadedProjects } from "./generate/load-projects.ts"
export { runGenerate } from "./generate/run-generate.ts"
export type { GenerateSurroundings } from "./generate/run-generate.ts"
export type { Exporters, ProjectFront, ProjectFrontOptions, ServiceLabels } from "./project-files/project-front.ts"
export { exporters } from "./project-files/exporters.ts"
