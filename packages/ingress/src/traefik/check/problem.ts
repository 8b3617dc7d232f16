/** What is wrong with files of Traefik's. */
export interface TraefikProblem {
  /**
   * `undeclared`: something is named that is not there. `unused`: something is there that nothing names, so it has no effect. `invalid`:
   * Traefik would refuse it, or read it as something else. `placeholder`: a `${VAR}` or a template that nobody has replaced.
   */
  readonly kind: "undeclared" | "unused" | "invalid" | "placeholder"
  readonly file: string
  /** `http.routers.api_0.service`; empty: the file. */
  readonly path: string
  /** The end of a sentence: "names the service api, which is not declared". Holds no header values. */
  readonly reason: string
}
