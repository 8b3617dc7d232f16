import { isAlias, isMap, parseDocument } from "yaml"
import type { Document } from "yaml"
import { labelList, networkMap } from "./compose-file.ts"
import type { ExposedService } from "./projects.ts"

/** A service and the labels that it shall have. */
export interface LabelledService {
  readonly service: ExposedService
  readonly labels: readonly string[]
}

/** A service has a label already, with another value. */
export interface LabelProblem {
  readonly service: string
  readonly label: string
}

/** The network that the front is in, made by whoever runs the front. */
export const PROXY_NETWORK = "proxynet"

type Service = Readonly<Record<string, unknown>>

/**
 * A compose file whose exposed services have their labels and are in the network of the front. Comments and everything else stay, and
 * no other service changes, whatever they share by anchors.
 */
export const upstreamCompose = (
  text: string,
  exposed: readonly LabelledService[],
): { readonly text: string; readonly problems: readonly LabelProblem[] } => {
  if (exposed.length === 0) return { text, problems: [] }
  const document = parseDocument(text.replace(/^\uFEFF/, ""), {
    stringKeys: true,
    merge: true,
    resolveKnownTags: false,
    logLevel: "silent",
  })
  const before = servicesOf(document)
  const problems: LabelProblem[] = []
  // Only then is a change of one service one of another.
  const hasAliases = text.includes("*")
  if (hasAliases) for (const name of Object.keys(before)) ownNode(document, name)
  for (const { service, labels } of exposed) {
    const { service: name } = service
    const old = labelList(before[name]!["labels"])
    const values = new Map(old.map((label) => split(label)))
    for (const label of labels) {
      const [key, value] = split(label)
      if (values.has(key) && values.get(key) !== value) problems.push({ service: name, label: key })
    }
    const added = labels.filter((label) => !old.includes(label))
    if (old.length + added.length > 0)
      document.setIn(["services", name, "labels"], document.createNode([...old, ...added]))
    document.setIn(
      ["services", name, "networks"],
      document.createNode(withNetwork(networkMap(before[name]!["networks"]), service)),
    )
  }
  if (hasAliases) keepOthers(document, before, new Set(exposed.map(({ service }) => service.service)))
  if (document.getIn(["networks", PROXY_NETWORK]) === undefined) {
    document.setIn(["networks", PROXY_NETWORK], document.createNode({ external: true }))
  }
  // 0: a long text is not folded.
  return { text: document.toString({ lineWidth: 0 }), problems }
}

const servicesOf = (document: Document): Readonly<Record<string, Service>> =>
  (document.toJS({ maxAliasCount: 100 }) as { readonly services: Readonly<Record<string, Service>> }).services

const split = (label: string): readonly [key: string, value: string] => {
  const at = label.indexOf("=")
  return at === -1 ? [label, ""] : [label.slice(0, at), label.slice(at + 1)]
}

/** A service that is another one by an alias gets a node of its own: a change of one would be one of the other. */
const ownNode = (document: Document, name: string): void => {
  const node = document.getIn(["services", name], true)
  if (!isAlias(node)) return
  const copy = node.resolve(document)?.clone()
  if (!isMap(copy)) return
  delete copy.anchor
  document.setIn(["services", name], copy)
}

const withNetwork = (networks: Readonly<Record<string, unknown>>, { host, pinned }: ExposedService): object => {
  const given = networks[PROXY_NETWORK]
  const own = typeof given === "object" && given !== null ? (given as { readonly aliases?: unknown }) : {}
  const aliases = Array.isArray(own.aliases) ? (own.aliases as readonly unknown[]) : []
  const added = pinned ? { ipv4_address: host } : { aliases: [...aliases.filter((alias) => alias !== host), host] }
  return { ...networks, [PROXY_NETWORK]: { ...own, ...added } }
}

/** A service that merges another one's keys would get its labels and networks: it keeps what it had. */
const keepOthers = (
  document: Document,
  before: Readonly<Record<string, Service>>,
  changed: ReadonlySet<string>,
): void => {
  const after = servicesOf(document)
  for (const [name, service] of Object.entries(before)) {
    if (changed.has(name)) continue
    for (const [key, none] of [
      ["labels", []],
      ["networks", { default: null }],
    ] as const) {
      if (JSON.stringify(service[key]) === JSON.stringify(after[name]![key])) continue
      document.setIn(["services", name, key], document.createNode(service[key] ?? none))
    }
  }
}
