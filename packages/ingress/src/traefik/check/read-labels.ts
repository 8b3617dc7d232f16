/** A label of Traefik's, and where it stands. */
export interface TraefikLabel {
  readonly service: string
  readonly name: string
  readonly value: string
}

/** The labels of a compose file that are Traefik's, of services that it is enabled for. Lists and maps are read alike. */
export const readLabels = (compose: unknown): readonly TraefikLabel[] => {
  const labels: TraefikLabel[] = []
  for (const [service, definition] of Object.entries(mapOf(mapOf(compose)["services"]))) {
    for (const [name, value] of labelPairs(mapOf(definition)["labels"])) {
      if (/^traefik\./i.test(name)) labels.push({ service, name, value })
    }
  }
  return labels
}

/** Labels as pairs, as compose has them: a list of `name=value`, or a map. */
export const labelPairs = (labels: unknown): readonly (readonly [name: string, value: string])[] => {
  if (Array.isArray(labels)) {
    return labels.flatMap((label: unknown) => {
      if (typeof label !== "string") return []
      const at = label.indexOf("=")
      return [at === -1 ? ([label, ""] as const) : ([label.slice(0, at), label.slice(at + 1)] as const)]
    })
  }
  return Object.entries(mapOf(labels)).map(([name, value]) => [name, scalarText(value)])
}

const scalarText = (value: unknown): string =>
  typeof value === "string" || typeof value === "number" || typeof value === "boolean" || typeof value === "bigint"
    ? String(value)
    : ""

/** A map, or an empty one for anything else. */
export const mapOf = (value: unknown): Readonly<Record<string, unknown>> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

/** The tree that labels describe: `http.routers.api.rule`. Names of Traefik's options are in lower case here. */
export const labelTree = (labels: readonly TraefikLabel[]): Readonly<Record<string, unknown>> => {
  const root: Record<string, unknown> = Object.create(null) as Record<string, unknown>
  for (const { name, value } of labels) {
    const parts = name.split(".").slice(1)
    let node = root
    for (const [at, part] of parts.entries()) {
      // The names of routers, services and middlewares are the user's own, all others Traefik's.
      const key = at === 2 ? part : part.toLowerCase()
      if (at === parts.length - 1) node[key] = typeof node[key] === "object" ? node[key] : value
      else {
        const next = node[key]
        // `tls=true` stands beside `tls.certresolver=…`.
        node = (node[key] = typeof next === "object" && next !== null ? next : Object.create(null)) as Record<
          string,
          unknown
        >
      }
    }
  }
  return root
}
