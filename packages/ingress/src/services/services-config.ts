/** What a customer declares of a project: JSON. */
export interface ServicesConfig {
  /** By name: 1 to 63 lower-case letters, digits and single inner hyphens, not only digits, not `xn`. At most 100. */
  readonly services: Readonly<Record<string, DeclaredService>>
}

/** A port with a name. */
export interface DeclaredService {
  /** 1 to 65535. Services that share one have the same visibility. */
  readonly port: number
  /** `public`: everybody sees the port. Absent: as the project says. */
  readonly visibility?: "public" | "private"
}

/**
 * Types a configuration; checks nothing. `decodeConfig` does, where it is received.
 *
 * ```ts
 * export const config = defineConfig({ services: { opencode: { port: 4096, visibility: "public" } } })
 * ```
 */
export const defineConfig = <const Config extends ServicesConfig>(config: Config): Config => config
