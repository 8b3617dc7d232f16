/** What a law throws when it is broken: the runner prints its sentence. No `node:assert`, because the kit runs in workerd too. */
export class LawBroken extends Error {
  override get name(): string {
    return "LawBroken"
  }
}

/** Broken, with the claim, when the value is none or false. */
export function ok(value: unknown, claim: string): asserts value {
  if (value === undefined || value === null || value === false) throw new LawBroken(`it does not hold that ${claim}`)
}

/** Equal as JSON. */
export const equal = (actual: unknown, expected: unknown, what: string): void => {
  const [is, should] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (is !== should) throw new LawBroken(`${what}: ${is}; expected ${should}`)
}

/** What a promise rejects with. Broken when it does not, or not within 5 s. */
export const failure = async (promise: Promise<unknown>, what: string): Promise<unknown> => {
  const settled = await within(
    5_000,
    promise.then(
      (value: unknown) => ({ value }),
      (error: unknown) => ({ error }),
    ),
    what,
  )
  if ("error" in settled) return settled.error
  throw new LawBroken(`${what}: it succeeded with ${shown(settled.value)}`)
}

/** Broken unless it is an error with one of these tags. */
export function tagged(error: unknown, ...tags: readonly string[]): asserts error is Error & { readonly _tag: string } {
  const tag = error instanceof Error ? (error as { readonly _tag?: unknown })._tag : undefined
  if (typeof tag !== "string" || !tags.includes(tag)) {
    throw new LawBroken(`a failure is ${shown(error)}; expected ${tags.join(" or ")}`)
  }
}

/** Broken when the promise takes longer than so many ms. */
export const within = async <A>(ms: number, promise: Promise<A>, what: string): Promise<A> => {
  let timer: ReturnType<typeof setTimeout> | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new LawBroken(`${what}: nothing within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

/** Asks until the answer is yes, for at most 5 s. */
export const eventually = async (ask: () => Promise<boolean>, otherwise: string): Promise<void> => {
  const until = Date.now() + 5_000
  while (!(await ask())) {
    if (Date.now() > until) throw new LawBroken(otherwise)
    await sleep(20)
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const shown = (value: unknown): string => {
  if (value instanceof Response) return `an answer with status ${value.status}`
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return JSON.stringify(value) ?? String(value)
}
