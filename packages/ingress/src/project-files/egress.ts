import { sha256Hex } from "../resource/sha256.ts"

/** What a project's services reach of another project. */
export interface Egress {
  readonly project: string
  readonly service: string
  /** The name of the network that both are in. At most 64 characters. */
  readonly network: string
}

/** Longer names are refused by the networks' driver. */
const MAX_NETWORK = 64

/** `consumer--provider--service`; where that is too long or ambiguous, a name made of a hash. */
export const edgeNetwork = async (consumer: string, provider: string, service: string): Promise<string> => {
  const name = `${consumer}--${provider}--${service}`
  // With `--` inside a part, two pairs could have one name.
  if (name.length <= MAX_NETWORK && name.split("--").length === 3) return name
  return `egress-${(await sha256Hex(`${consumer}:${provider}:${service}`)).slice(0, 12)}`
}

/**
 * Names so that each comes after what it needs, and otherwise in alphabetical order. `undefined` if there is a circle; what is needed and
 * not among the names does not count.
 */
export const inOrder = (needs: ReadonlyMap<string, ReadonlySet<string>>): readonly string[] | undefined => {
  const left = new Map([...needs].map(([name, all]) => [name, new Set([...all].filter((need) => needs.has(need)))]))
  const users = new Map<string, string[]>()
  for (const [name, all] of left) for (const need of all) users.set(need, [...(users.get(need) ?? []), name])
  const ordered: string[] = []
  let ready = [...left].filter(([, all]) => all.size === 0).map(([name]) => name)
  while (ready.length > 0) {
    const next: string[] = []
    for (const name of ready.toSorted()) {
      ordered.push(name)
      for (const user of users.get(name) ?? []) {
        const all = left.get(user)!
        all.delete(name)
        if (all.size === 0) next.push(user)
      }
    }
    ready = next
  }
  return ordered.length === left.size ? ordered : undefined
}
