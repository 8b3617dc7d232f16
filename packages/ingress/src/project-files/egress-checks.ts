import { edgeNetwork, inOrder } from "./egress.ts"
import type { Egress } from "./egress.ts"
import type { ProjectProblem } from "./project-problem.ts"
import type { ProjectSource } from "./project-source.ts"

/** What each project reaches of others, and their order by it. */
export const checkEgress = async (
  sources: readonly ProjectSource[],
): Promise<{
  readonly egress: ReadonlyMap<string, readonly Egress[]>
  readonly order: readonly string[]
  readonly warnings: readonly string[]
  readonly problems: readonly ProjectProblem[]
}> => {
  const byName = new Map(sources.map((source) => [source.name, source]))
  const problems: ProjectProblem[] = []
  const egress = new Map<string, readonly Egress[]>()
  for (const { name, content, source } of sources) {
    const found: Egress[] = []
    for (const [at, text] of (content.egress ?? []).entries()) {
      const problem = egressProblem(text, byName)
      if (problem !== undefined) problems.push(source!.problem(["egress", at], problem))
      else {
        const [project = "", service = ""] = text.split(":")
        found.push({ project, service, network: await edgeNetwork(name, project, service) })
      }
    }
    egress.set(name, found)
  }
  const needs = new Map([...egress].map(([name, all]) => [name, new Set(all.map(({ project }) => project))]))
  const order = inOrder(needs)
  if (order !== undefined) return { egress, order, warnings: [], problems }
  const names = [...byName.keys()].toSorted()
  return { egress, order: names, warnings: ["egress goes in a circle: projects are in alphabetical order"], problems }
}

const egressProblem = (text: string, projects: ReadonlyMap<string, ProjectSource>): string | undefined => {
  const [name = "", service, ...more] = text.split(":")
  if (service === undefined || more.length > 0) return "must be project:service"
  const provider = projects.get(name)
  if (provider === undefined) return `references unknown project: ${shown(name)}`
  return provider.compose?.services.has(service) === true ? undefined : `references unknown service: ${shown(service)}`
}

/** A name that was not found, so that nothing is known of it. */
export const shown = (name: string): string => name.replaceAll(/[^\x20-\x7e]/g, "?").slice(0, 64)
