/** What is wrong with a project file, and where. */
export interface ProjectProblem {
  /** Relative to the folder: `shop/itsup-project.yml`. */
  readonly file: string
  /** From 1 up; absent where the file as a whole is meant. */
  readonly line?: number
  readonly column?: number
  /** `ingress.0.port`. Empty: the file as a whole. */
  readonly key: string
  /** One sentence without its end, that begins with the key: `ingress.0.port must be an integer from 1 to 65535`. */
  readonly message: string
}

/** `shop/itsup-project.yml:4:5: ingress.0.port must be …` */
export const formatProblem = ({ file, line, column, message }: ProjectProblem): string =>
  `${[file, line, column].filter((part) => part !== undefined).join(":")}: ${message}`

/** Negative if `a` comes first: by file, line and column. */
export const byPlace = (a: ProjectProblem, b: ProjectProblem): number => {
  if (a.file !== b.file) return a.file < b.file ? -1 : 1
  return (
    (a.line ?? 0) - (b.line ?? 0) || (a.column ?? 0) - (b.column ?? 0) || (formatProblem(a) < formatProblem(b) ? -1 : 1)
  )
}
