import { readYaml } from "./yaml-file.ts"
import type { ProjectProblem } from "./project-problem.ts"
import type { YamlDocument } from "./yaml-file.ts"
import { isObject } from "@project-ingress/router/internal"

/** What is read of a `docker-compose.yml`. The rest is Compose's. */
export interface ComposeFile {
  readonly text: string
  readonly source: YamlDocument
  readonly services: ReadonlyMap<string, Readonly<Record<string, unknown>>>
}

/** What Compose allows as a name. */
const SERVICE = /^[a-zA-Z0-9][\w.-]{0,127}$/

/** Reads a compose file as far as services, networks and labels go. */
export const readCompose = (
  file: string,
  text: string,
): { readonly compose?: ComposeFile; readonly problems: readonly ProjectProblem[] } => {
  const { documents, problems } = readYaml(file, text, { compose: true })
  if (problems !== undefined) return { problems }
  const [source, ...more] = documents
  if (source === undefined || more.length > 0) {
    return { problems: [{ file, key: "", message: "must be one YAML document" }] }
  }
  const { value } = source
  if (!isObject(value)) return { problems: [source.problem([], "must be a mapping")] }
  if (!isObject(value["services"])) return { problems: [source.problem(["services"], "must be a mapping of services")] }
  const found: ProjectProblem[] = []
  const services = new Map<string, Readonly<Record<string, unknown>>>()
  for (const [name, service] of Object.entries(value["services"])) {
    const path = ["services", name]
    if (!SERVICE.test(name))
      found.push(source.problem(["services", name.slice(0, 64)], "must be the name of a service"))
    else if (!isObject(service)) found.push(source.problem(path, "must be a mapping"))
    else {
      if (!isLabels(service["labels"]))
        found.push(source.problem([...path, "labels"], "must be a list or a mapping of texts"))
      if (!isNetworks(service["networks"]))
        found.push(source.problem([...path, "networks"], "must be a list or a mapping"))
      services.set(name, service)
    }
  }
  if (value["networks"] !== undefined && value["networks"] !== null && !isObject(value["networks"])) {
    found.push(source.problem(["networks"], "must be a mapping"))
  }
  return found.length > 0 ? { problems: found } : { compose: { text, source, services }, problems: [] }
}

const isText = (value: unknown): boolean => ["string", "number", "boolean"].includes(typeof value)

const isLabels = (labels: unknown): boolean =>
  labels === undefined ||
  labels === null ||
  (Array.isArray(labels) && labels.every((label) => typeof label === "string")) ||
  (isObject(labels) && Object.values(labels).every((label) => label === null || isText(label)))

const isNetworks = (networks: unknown): boolean =>
  networks === undefined ||
  networks === null ||
  isObject(networks) ||
  (Array.isArray(networks) && networks.every((network) => typeof network === "string"))

/** A service's labels as a list: `name=value`. */
export const labelList = (labels: unknown): readonly string[] => {
  if (Array.isArray(labels)) return labels.map(String)
  if (!isObject(labels)) return []
  // Without a value a label is empty; Compose says the same of a list.
  return Object.entries(labels).map(([name, value]) => `${name}=${value === null ? "" : (value as string)}`)
}

/** A service's networks as a mapping. Compose puts a service that names none into `default`. */
export const networkMap = (networks: unknown): Readonly<Record<string, unknown>> => {
  if (Array.isArray(networks)) return Object.fromEntries(networks.map((name) => [String(name), null]))
  return isObject(networks) && Object.keys(networks).length > 0 ? networks : { default: null }
}
