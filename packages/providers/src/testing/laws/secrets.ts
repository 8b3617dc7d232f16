import { failure, LawBroken } from "../assert.ts"
import { forever, law, nobodyAt, requestOf, resolving } from "../world.ts"
import type { World } from "../world.ts"

const secretsOf = ({ fixture }: World): readonly string[] => {
  const { d, k } = (fixture.signingKey ?? {}) as { readonly d?: unknown; readonly k?: unknown }
  return [...(fixture.secrets ?? []), d, k].filter((text): text is string => typeof text === "string" && text !== "")
}

/** What a log may show of a value: its message, stack and fields, and those of everything that caused it. */
const textsOf = (value: unknown, depth = 0): string => {
  if (depth > 8 || value === undefined) return ""
  if (!(value instanceof Error)) return typeof value === "string" ? value : json(value)
  const more = value instanceof AggregateError ? (value.errors as readonly unknown[]) : []
  return [value.name, value.message, value.stack ?? "", json(fieldsOf(value))]
    .concat([value.cause, ...more].map((each) => textsOf(each, depth + 1)))
    .join("\n")
}
/** What is printed of an error beside its message and stack; what caused it is looked at by itself. */
const fieldsOf = (error: Error): object =>
  Object.fromEntries(Object.entries(error).filter(([name]) => name !== "cause"))
const json = (value: unknown): string => {
  const seen = new Set<unknown>()
  try {
    return (
      JSON.stringify(value, (_, each: unknown) => {
        if (typeof each !== "object" || each === null) return typeof each === "bigint" ? String(each) : each
        if (seen.has(each)) return undefined
        seen.add(each)
        return each instanceof Error ? textsOf(each, 7) : each
      }) ?? ""
    )
  } catch {
    return String(value)
  }
}
const hides = (world: World, where: string, ...values: readonly unknown[]): void => {
  for (const value of values) {
    const text = textsOf(value)
    for (const secret of secretsOf(world)) {
      // Its value is not repeated: a report is read by many.
      const forms = [secret, encodeURIComponent(secret), btoa(secret).replaceAll("=", "")]
      if (forms.some((form) => text.includes(form)))
        throw new LawBroken(`${where} tells the secret ${secret.slice(0, 2)}…`)
    }
  }
}

/** A canary is looked for in everything that may reach a log or a client. */
export const secrets = {
  "secrets.provider": law("a provider shows no secret when it is printed", ["secrets"], (world) => {
    hides(world, "the provider", json(world.fixture.provider))
  }),

  "secrets.endpoint": law("an endpoint has its secrets in its headers alone", ["secrets"], async (world) => {
    const { headers: _, ...open } = await world.provider.resolve(world.machine, { port: world.port, signal: forever })
    hides(world, "the endpoint", open)
  }),

  "secrets.unreachable": law("a machine that is not reached tells no secret", [], async (world) => {
    const nowhere = resolving(world.provider, async (machine, options) =>
      nobodyAt(await world.provider.resolve(machine, options)),
    )
    hides(world, "the failure", await failure(world.fetcher({ provider: nowhere })(requestOf("/who")), "nowhere"))
  }),

  "secrets.record": law("a wrong record's values are not repeated", ["wrong"], async (world) => {
    for (const [field, machine] of Object.entries(world.fixture.wrong!)) {
      const error = await failure(world.provider.resolve(machine, { port: world.port, signal: forever }), field)
      const text = textsOf(error)
      const value = machine.metadata[field]
      if (typeof value === "string" && value.length > 5 && text.includes(value)) {
        throw new LawBroken(`the failure repeats the value of ${field}`)
      }
    }
  }),

  "secrets.refused": law("refused credentials are not repeated", ["unauthorized"], async (world) => {
    const undo = await world.fixture.unauthorized!()
    try {
      hides(world, "the failure", await failure(world.fetcher()(requestOf("/who")), "refused credentials"))
    } finally {
      await undo()
    }
  }),

  "secrets.failing": law("a vendor that fails makes nobody tell a secret", ["unavailable"], async (world) => {
    const undo = await world.fixture.unavailable!()
    try {
      const error = await failure(world.fetcher()(requestOf("/who")), "a vendor that fails")
      const status = await world.provider.status?.(world.machine, { signal: forever }).catch((error: unknown) => error)
      hides(world, "the failure", error, status)
    } finally {
      await undo()
    }
  }),

  "secrets.classify": law(
    "a meaning repeats no secret that the platform sent back",
    ["provider.classify", "secrets"],
    (world) => {
      for (const secret of secretsOf(world)) {
        for (const status of [200, 302, 307, 400, 401, 403, 404, 408, 412, 429, 500, 502, 503, 504, 530]) {
          for (const body of [
            secret,
            JSON.stringify({ message: `bad token ${secret}`, error: secret, code: secret }),
          ]) {
            const verdict = world.provider.classify!({ status, header: () => secret, body }, world.machine)
            // What caused a verdict is for logs, and may quote the answer; what it says itself may not.
            hides(world, `the verdict on ${status}`, typeof verdict === "string" ? verdict : fieldsOf(verdict))
            if (typeof verdict !== "string") hides(world, `the verdict on ${status}`, verdict.message)
          }
        }
      }
    },
  ),
}

/** After all others: what was said while they were tried. */
export const silence = {
  "secrets.said": law("nothing that was said during these laws holds a secret", [], (world) => {
    hides(world, "what was said", ...world.said)
  }),

  "secrets.console": law("nothing that was printed during these laws holds a secret", [], (world) => {
    hides(world, "the console", ...world.printed)
  }),
}
