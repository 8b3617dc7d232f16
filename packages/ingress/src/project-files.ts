/**
 * Ingresses from a folder of project files: itsUP's and ours. Reads texts, in any runtime.
 *
 * @module
 */
export { formatProblem } from "./project-files/project-problem.ts"
export type { ProjectProblem } from "./project-files/project-problem.ts"
export { ProjectsInvalid } from "./project-files/projects-invalid.ts"
export type * from "./project-files/projects.ts"
export type { Egress } from "./project-files/egress.ts"
export { readProjects } from "./project-files/read-projects.ts"
