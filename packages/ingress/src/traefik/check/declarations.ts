import type { TraefikProblem } from "./problem.ts"

/** What can be named: `http middleware`. Names are unique among one kind of one provider. */
export type Kind =
  | "entry point"
  | "certificate resolver"
  | "TLS option"
  | `${"http" | "tcp" | "udp"} ${"router" | "service" | "middleware" | "servers transport"}`

interface Place {
  readonly file: string
  readonly path: string
}

/** Everything that is declared and everything that is named, over all files. */
export class Declarations {
  readonly problems: TraefikProblem[] = []
  readonly #declared = new Map<string, Place & { readonly kind: Kind; readonly name: string }>()
  readonly #references: (Place & { readonly kind: Kind; readonly name: string; readonly provider: string })[] = []
  readonly #providers = new Set<string>()

  add(kind: TraefikProblem["kind"], place: Place, reason: string): void {
    this.problems.push({ kind, file: place.file, path: place.path, reason })
  }

  /** That there are files of a provider at all; what is named of one that nobody gave is not looked for. */
  provider(provider: string): void {
    this.#providers.add(provider)
  }

  declare(kind: Kind, name: string, provider: string, place: Place): void {
    const key = keyOf(kind, name, provider)
    const other = this.#declared.get(key)
    if (other === undefined) this.#declared.set(key, { ...place, kind, name })
    else this.add("invalid", place, `is declared in ${other.file} too, and Traefik takes neither`)
    if (name.includes("@")) this.add("invalid", place, "has @ in its name")
  }

  /** `name` or `name@provider`, from something of `provider`. */
  reference(kind: Kind, name: string, provider: string, place: Place): void {
    const at = name.lastIndexOf("@")
    const reference = at === -1 ? { name, provider } : { name: name.slice(0, at), provider: name.slice(at + 1) }
    this.#references.push({ ...place, kind, ...reference })
  }

  /** All problems, once everything is known. */
  finish(): readonly TraefikProblem[] {
    const used = new Set<string>()
    for (const { kind, name, provider, file, path } of this.#references) {
      const key = keyOf(kind, name, provider)
      used.add(key)
      if (provider === "internal" || !this.#providers.has(provider) || this.#declared.has(key)) continue
      this.add("undeclared", { file, path }, `names the ${kind} ${shown(name)}, which is not declared`)
    }
    for (const [key, { kind, file, path }] of this.#declared) {
      if (used.has(key) || !/service|middleware|transport/.test(kind)) continue
      this.add("unused", { file, path }, `is a ${kind} that nothing uses`)
    }
    return this.problems
  }
}

const keyOf = (kind: Kind, name: string, provider: string): string => `${kind} ${name}@${provider}`

const shown = (name: string): string => JSON.stringify(name.slice(0, 64))
