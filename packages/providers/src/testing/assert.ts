/** What a law throws when it is broken: the runner prints its message. No `node:assert`, because the kit runs in workerd too. */
export class LawBroken extends Error {
  override get name(): string {
    return "LawBroken"
  }
}

/** How long a law waits for something that must happen, in ms: long enough for a machine under heavy load. */
const PATIENCE_MS = 10_000

/** Throws unless the value is neither `undefined`, `null` nor `false`. */
export function ok(value: unknown, claim: string): asserts value {
  if (value === undefined || value === null || value === false) throw new LawBroken(`expected that ${claim}`)
}

/** Throws unless both are equal as JSON. */
export const equal = (actual: unknown, expected: unknown, what: string): void => {
  const [got, wanted] = [JSON.stringify(actual), JSON.stringify(expected)]
  if (got !== wanted) throw new LawBroken(`${what}: expected ${wanted}, got ${got}`)
}

/** What a promise rejects with. Throws when it resolves, or does not settle in time. */
export const failure = async (promise: Promise<unknown>, what: string): Promise<unknown> => {
  const settled = await inTime(
    promise.then(
      (value: unknown) => ({ value }),
      (error: unknown) => ({ error }),
    ),
    what,
  )
  if ("error" in settled) return settled.error
  throw new LawBroken(`${what}: expected an error, got ${shown(settled.value)}`)
}

/** Throws unless it is an error with one of these tags. */
export function tagged(error: unknown, ...tags: readonly string[]): asserts error is Error & { readonly _tag: string } {
  const tag = error instanceof Error ? (error as { readonly _tag?: unknown })._tag : undefined
  if (typeof tag !== "string" || !tags.includes(tag)) {
    throw new LawBroken(`expected the error ${tags.join(" or ")}, got ${shown(error)}`)
  }
}

/** Rejects when the promise takes longer than so many ms. */
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

/** Rejects when the promise takes longer than a law waits. */
export const inTime = <A>(promise: Promise<A>, what: string): Promise<A> => within(PATIENCE_MS, promise, what)

/** Waits until a condition holds. Rejects with the message when it does not in time. */
export const eventually = async (condition: () => Promise<boolean>, otherwise: string): Promise<void> => {
  const until = Date.now() + PATIENCE_MS
  while (!(await condition())) {
    if (Date.now() > until) throw new LawBroken(otherwise)
    await sleep(20)
  }
}

export const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms))

const shown = (value: unknown): string => {
  if (value instanceof Response) return `a response with status ${value.status}`
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return JSON.stringify(value) ?? String(value)
}
