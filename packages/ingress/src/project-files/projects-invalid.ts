import { formatProblem } from "./project-problem.ts"
import type { ProjectProblem } from "./project-problem.ts"

/** Project files that cannot be used. Holds all that is wrong with them, by file and line; no value that may be a secret. */
export class ProjectsInvalid extends Error {
  readonly _tag = "ProjectsInvalid"
  override readonly name = "ProjectsInvalid"
  readonly problems: readonly ProjectProblem[]
  constructor(fields: { readonly problems: readonly ProjectProblem[] }) {
    super(fields.problems.map(formatProblem).join("\n"))
    this.problems = fields.problems
  }
}
