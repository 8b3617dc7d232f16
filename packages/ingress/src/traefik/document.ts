/** Dynamic configuration as it is written. Records are by name. */
export interface TraefikDocument {
  readonly http: Section & { readonly serversTransports: Record<string, object> }
  readonly tcp: Section & { readonly serversTransports: Record<string, object> }
  readonly udp: Pick<Section, "routers" | "services">
}

interface Section {
  readonly routers: Record<string, object>
  readonly services: Record<string, object>
  readonly middlewares: Record<string, object>
}

export const emptyDocument = (): TraefikDocument => ({
  http: { routers: {}, services: {}, middlewares: {}, serversTransports: {} },
  tcp: { routers: {}, services: {}, middlewares: {}, serversTransports: {} },
  udp: { routers: {}, services: {} },
})

/** Adds all of a document to another one, whose names are others. */
export const addTo = (all: TraefikDocument, part: TraefikDocument): void => {
  for (const protocol of ["http", "tcp", "udp"] as const) {
    for (const [section, entries] of Object.entries(part[protocol])) {
      Object.assign(all[protocol][section as "routers"], entries)
    }
  }
}

/** Without what is empty, which Traefik refuses; `undefined` if all of it is. */
export const trimmedDocument = (document: TraefikDocument): Readonly<Record<string, unknown>> | undefined => {
  const trimmed: Record<string, Record<string, object>> = {}
  for (const [protocol, sections] of Object.entries(document)) {
    const filled = Object.entries(sections as Record<string, object>).filter(([, each]) => Object.keys(each).length > 0)
    if (filled.length > 0) trimmed[protocol] = Object.fromEntries(filled)
  }
  return Object.keys(trimmed).length === 0 ? undefined : trimmed
}
