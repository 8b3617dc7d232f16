interface Branch<Value> {
  readonly literals: Map<string, Branch<Value>>
  star: Branch<Value> | undefined
  readonly values: Value[]
}

const branch = <Value>(): Branch<Value> => ({ literals: new Map(), star: undefined, values: [] })

/** Patterns of hostnames by their labels from the right, so that looking for those of a hostname does not read them all. */
export class PatternTree<Value> {
  readonly #root = branch<Value>()

  /** `*` is one label. */
  add(wildcard: string, value: Value): void {
    let at = this.#root
    for (const label of wildcard.split(".").toReversed()) {
      if (label === "*") at = at.star ??= branch()
      else {
        const next = at.literals.get(label) ?? branch<Value>()
        at.literals.set(label, next)
        at = next
      }
    }
    at.values.push(value)
  }

  /** Of all patterns that take a hostname ending in `.<suffix>`, but for those that go on with a literal: they have a longer suffix. */
  within(suffix: string): readonly Value[] {
    let literal: Branch<Value> | undefined = this.#root
    let others: readonly Branch<Value>[] = []
    for (const label of suffix.split(".").toReversed()) {
      others = [...others.flatMap((at) => steps(at, label)), ...(literal?.star === undefined ? [] : [literal.star])]
      literal = literal?.literals.get(label)
    }
    const below = literal?.star === undefined ? [] : all(literal.star)
    return [...below, ...others.flatMap((at) => children(at).flatMap(all))]
  }
}

const steps = <Value>({ literals, star }: Branch<Value>, label: string): readonly Branch<Value>[] =>
  [literals.get(label), star].filter((next) => next !== undefined)

const children = <Value>({ literals, star }: Branch<Value>): readonly Branch<Value>[] => [
  ...literals.values(),
  ...(star === undefined ? [] : [star]),
]

const all = <Value>(at: Branch<Value>): readonly Value[] => [...at.values, ...children(at).flatMap(all)]
