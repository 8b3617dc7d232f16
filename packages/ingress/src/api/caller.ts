/** The caller of a request. `owner` absent: the operator, for whom what all owners have is there. */
export interface Caller {
  readonly owner?: string
}

/**
 * The caller that somebody's `authenticate` gave, which may be anything: a mistake here would open what all owners have.
 *
 * @throws {TypeError} for what is no {@link Caller}
 */
export const readCaller = (given: unknown): Caller => {
  if (typeof given !== "object" || given === null) throw new TypeError("authenticate gave no object")
  const { owner } = given as Caller
  if (owner === undefined) return {}
  if (typeof owner !== "string" || owner === "") throw new TypeError("authenticate gave an owner that is no text")
  return { owner }
}
