/** How bad it is, the best first: the exit code is the worst level's place. */
export const levels = ["ok", "warning", "error"] as const

/** One thing that the doctor found out. */
export interface Finding {
  readonly level: (typeof levels)[number]
  /** Stable: `CERTIFICATE_EXPIRED`; of a response that a proxy of ours generated, its own code: `ROUTE_NOT_FOUND`. */
  readonly code: string
  /** What it is about: `dns misha.iterate.app`, `certificate 203.0.113.10:443`. */
  readonly resource: string
  /** What was found, as a sentence. */
  readonly detail: string
  /** What to do. Absent where there is nothing to do. */
  readonly fix?: string
}

export const ok = (code: string, resource: string, detail: string): Finding => ({ level: "ok", code, resource, detail })

export const warning = (code: string, resource: string, detail: string, fix: string): Finding => ({
  level: "warning",
  code,
  resource,
  detail,
  fix,
})

export const error = (code: string, resource: string, detail: string, fix: string): Finding => ({
  level: "error",
  code,
  resource,
  detail,
  fix,
})

/** 0 where all is well, 1 for warnings, 2 for errors. */
export const exitCodeOf = (findings: readonly Finding[]): number =>
  Math.max(0, ...findings.map(({ level }) => levels.indexOf(level)))
