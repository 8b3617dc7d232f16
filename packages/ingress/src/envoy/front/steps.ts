import { readFile } from "node:fs/promises"
import { join } from "node:path"
import type { GeneratedFile } from "../../fronts/front.ts"
import { discoveryResponse } from "../discovery-response.ts"
import { nameOf } from "../json.ts"
import type { Message } from "../json.ts"
import type { RunningVersions } from "./config-dump.ts"

const CLUSTERS = "cds/cds.json"
/** What refers to something comes after it. */
const ORDER = [/^(?:bootstrap|envoy)\./, /^cds\//, /^rds\//, /^lds\//]

const rank = ({ path }: GeneratedFile): number => ORDER.findIndex((pattern) => pattern.test(path))

const ranked = (files: readonly GeneratedFile[]): readonly GeneratedFile[] => {
  return files.toSorted((a, b) => rank(a) - rank(b))
}

/**
 * The files in the order in which they are written, in one step or two: if clusters or tables of routes disappear, they are still there in
 * the first, in which nothing leads to them any more.
 */
export const stepsOf = async (
  folder: string,
  files: readonly GeneratedFile[],
): Promise<readonly (readonly GeneratedFile[])[]> => {
  const clusters = files.find(({ path }) => path === CLUSTERS)
  const before = clusters === undefined ? undefined : await resourcesAt(folder)
  if (clusters === undefined || before === undefined) return [ranked(files)]
  const after = resourcesOf(clusters.text)
  const names = new Set(after.map(nameOf))
  const gone = before.filter((cluster) => !names.has(nameOf(cluster)))
  if (gone.length === 0) return [ranked(files)]
  const union = versioned([...after, ...gone])
  const between = { ...clusters, text: `${JSON.stringify(union, undefined, 2)}\n` }
  return [ranked(files.map((file) => (file === clusters ? between : file))), ranked(files)]
}

/** Of resources that have their type already. */
const versioned = (resources: readonly Message[]): Message => ({
  version_info: discoveryResponse("", resources)["version_info"],
  resources,
})

/** What is there now; `undefined` for what is no such file: it is written over, or refused as changed by hand. */
const resourcesAt = async (folder: string): Promise<readonly Message[] | undefined> => {
  try {
    return resourcesOf(await readFile(join(folder, CLUSTERS), "utf8"))
  } catch {
    return undefined
  }
}

const resourcesOf = (text: string): readonly Message[] =>
  (JSON.parse(text) as { readonly resources: readonly Message[] }).resources

const version = ({ text }: GeneratedFile): string =>
  (JSON.parse(text) as { readonly version_info: string }).version_info

/** The versions that are in files. */
export const versionsOf = (files: readonly GeneratedFile[]): RunningVersions => {
  const at = (path: string): string | undefined => {
    const file = files.find((each) => each.path === path)
    return file === undefined ? undefined : version(file)
  }
  const routes = files.flatMap((file) => {
    const table = /^rds\/(.+)\.json$/.exec(file.path)?.[1]
    return table === undefined ? [] : [[table, version(file)] as const]
  })
  return { clusters: at(CLUSTERS), listeners: at("lds/lds.json"), routes: new Map(routes) }
}
