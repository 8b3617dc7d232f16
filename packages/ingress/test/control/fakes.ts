import { defineGrammar } from "@project-ingress/hostname"
import { memoryRegistry } from "@project-ingress/router/stores/memory"
import type { MemoryRegistry } from "@project-ingress/router/stores/memory"
import { createIngresses } from "../../src/control/create-ingresses.ts"
import type { IngressEvent, Ingresses, IngressesOptions } from "../../src/control/ingresses.ts"
import type { ExportInput, ExportProblem, Front, FrontPlan } from "../../src/fronts/front.ts"
import type { DeclaredRule } from "../../src/resource/ingress.ts"
import { memoryStorage } from "../../src/storage/memory-storage.ts"

export const grammar = defineGrammar({ domains: ["iterate.app"] })

export type Step = "plan" | "validate" | "apply" | "read back" | "roll back"

/** A front that keeps what it runs in a text, and fails where it is asked to. */
export interface FakeFront extends Front {
  /** `api.example.com:80 -> 10.0.0.1:8080` by line. */
  running: string
  /** Steps that fail, in the order of calls; `apply` fails half-way. */
  readonly failing: Set<Step>
  /** Steps that never end. */
  readonly hanging: Set<Step>
  readonly calls: string[]
  problems: (input: ExportInput) => readonly ExportProblem[]
  failure: unknown
}

export const fakeFront = (name: string): FakeFront => {
  const run = async (step: Step): Promise<void> => {
    front.calls.push(step)
    if (front.hanging.has(step)) await new Promise(() => undefined)
    if (front.failing.has(step)) throw front.failure
  }
  const front: FakeFront = {
    name,
    running: "",
    failing: new Set(),
    hanging: new Set(),
    calls: [],
    problems: () => [],
    failure: new Error("secret of the front"),
    plan: async (input): Promise<FrontPlan> => {
      await run("plan")
      const before = front.running
      const lines: string[] = []
      const problems: ExportProblem[] = [...front.problems(input)]
      for (const ingress of input.ingresses) {
        for (const [at, { match, targets, allowCidrs }] of ingress.rules.entries()) {
          const dials: string[] = []
          for (const target of targets) {
            const isKnown = target.kind === "url" || target.kind === "capture"
            const host =
              target.kind === "url" ? target.host : target.kind === "capture" ? target.capture : input.address(target)
            if (!isKnown && host === undefined) {
              const field = `rules.${at}.targets`
              problems.push({ kind: "unresolved", ingress: ingress.name, field, reason: "have no address" })
            } else dials.push(`${host}:${target.port}`)
          }
          const only = allowCidrs === undefined ? "" : ` only ${allowCidrs.join(" ")}`
          if (dials.length > 0)
            lines.push(`${match.hostname?.text ?? "*"}:${match.port ?? ""} -> ${dials.join(" ")}${only}`)
        }
      }
      const after = lines.toSorted().join("\n")
      return {
        problems,
        diff: after === before ? "" : `- ${before}\n+ ${after}`,
        validate: () => run("validate"),
        apply: async () => {
          // Half of it is there when it fails.
          front.running = `${after} half`
          await run("apply")
          front.running = after
        },
        readBack: async () => {
          await run("read back")
          if (front.running !== after) throw new Error("another configuration runs")
        },
        rollBack: async () => {
          await run("roll back")
          front.running = before
        },
      }
    },
  }
  return front
}

export interface Platform {
  readonly ingresses: Ingresses
  readonly registry: MemoryRegistry
  readonly events: IngressEvent[]
  readonly options: IngressesOptions
}

/** A platform with three owners' machines, each at an address of its own, and a project. */
export const platform = async (given: Partial<IngressesOptions> = {}): Promise<Platform> => {
  const registry = memoryRegistry({ grammar, resolveTxt: async (name) => proofs.get(name) ?? [] })
  for (const [id, owner, host] of [
    ["mach_a1", "org_a", "10.0.0.1"],
    ["mach_a2", "org_a", "10.0.0.2"],
    ["mach_b1", "org_b", "10.0.1.1"],
  ] as const) {
    const metadata = { origin: `http://${host}` }
    // A machine that serves no project is private unless it is published.
    await registry.putMachine({ id, owner, type: "upstream", externalId: id, metadata, visibility: "public" })
  }
  await registry.create({ name: "misha", owner: "org_a", machine: "mach_a2" })
  const events: IngressEvent[] = []
  const options: IngressesOptions = {
    storage: memoryStorage(),
    grammar,
    store: registry,
    registry,
    onEvent: (event) => void events.push(event),
    ...given,
  }
  return { ingresses: createIngresses(options), registry, events, options }
}

/** TXT records, by name. */
export const proofs = new Map<string, string[]>()

/** One rule: `document("api", "api.example.com", { machine: "mach_a1", port: 8080 })`. */
export const document = (name: string, hostname: string, target: object, rule: object = {}): object => ({
  name,
  rules: [{ match: { hostname }, target, ...rule }],
})

/** Rules as they are stored, for documents that no controller has written. */
export const storedRules = (hostname: string): readonly DeclaredRule[] => [
  {
    match: { protocol: "http", hostname: { text: hostname, wildcard: hostname, captures: [] } },
    targets: [{ kind: "machine", weight: 1, machine: "mach_a1", port: 8080, protocol: "http" }],
  },
]

export const toA1 = { machine: "mach_a1", port: 8080 }
export const toB1 = { machine: "mach_b1", port: 8080 }

/** The error that a promise rejects with. */
export const failure = async (promise: Promise<unknown>): Promise<Error & Readonly<Record<string, unknown>>> => {
  try {
    await promise
  } catch (cause) {
    return cause as Error & Record<string, unknown>
  }
  throw new Error("it did not reject")
}
