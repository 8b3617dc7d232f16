import type { TraefikProblem } from "./check/problem.ts"

/** Configuration of Traefik that does not hold together. Nothing was written. */
export class TraefikInvalid extends Error {
  readonly _tag = "TraefikInvalid"
  override readonly name = "TraefikInvalid"
  readonly problems: readonly TraefikProblem[]
  constructor({ problems }: { readonly problems: readonly TraefikProblem[] }) {
    const shown = problems
      .slice(0, 10)
      .map(({ file, path, reason }) => `${file}: ${path === "" ? "it" : path} ${reason}`)
    super(shown.join("; "))
    this.problems = problems
  }
}
