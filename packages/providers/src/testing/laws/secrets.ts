import { failure, LawBroken } from "../assert.ts"
import { neverAborted, unreachable, requestTo, withResolve } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

const secretsOf = ({ fixture }: LawContext): readonly string[] => {
  const { d, k } = (fixture.signingKey ?? {}) as { readonly d?: unknown; readonly k?: unknown }
  return [...(fixture.secrets ?? []), d, k].filter((text): text is string => typeof text === "string" && text !== "")
}

/** What a log may show of a value: of an error its message, stack and fields, and those of its causes. */
const textsOf = (value: unknown, depth = 0): string => {
  if (depth > 8 || value === undefined) return ""
  if (!(value instanceof Error)) return typeof value === "string" ? value : json(value)
  const more = value instanceof AggregateError ? (value.errors as readonly unknown[]) : []
  return [value.name, value.message, value.stack ?? "", json(fieldsOf(value))]
    .concat([value.cause, ...more].map((each) => textsOf(each, depth + 1)))
    .join("\n")
}
/** What is printed of an error in addition to its message and stack. The cause is read separately. */
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
/** What `util.inspect` shows of an object at any depth: own properties, also hidden ones and symbols, but no closures. */
const inspected = (value: unknown, seen = new Set<unknown>()): string => {
  if ((typeof value !== "object" && typeof value !== "function") || value === null) return String(value)
  if (seen.has(value)) return ""
  seen.add(value)
  return Reflect.ownKeys(value)
    .map((key) => {
      const { value: property, get } = Reflect.getOwnPropertyDescriptor(value, key)!
      return `${String(key)} ${get === undefined ? inspected(property, seen) : inspected(get.call(value), seen)}`
    })
    .join("\n")
}

/** Throws when one of the values contains a secret. */
const hides = (context: LawContext, where: string, ...values: readonly unknown[]): void => {
  for (const value of values) {
    const text = textsOf(value)
    for (const secret of secretsOf(context)) {
      // Its value is not repeated: a report may be public.
      const forms = [secret, encodeURIComponent(secret), btoa(secret).replaceAll("=", "")]
      if (forms.some((form) => text.includes(form)))
        throw new LawBroken(`${where} contains the secret ${secret.slice(0, 2)}…`)
    }
  }
}

/** Secrets are in nothing that may reach a log or a client. */
export const secrets = {
  "secrets.provider": law("a provider contains no secret that printing it would show", ["secrets"], (context) => {
    hides(context, "the provider", json(context.fixture.provider), inspected(context.fixture.provider))
  }),

  "secrets.endpoint": law("an endpoint contains secrets in its headers only", ["secrets"], async (context) => {
    const { headers: _, ...open } = await context.provider.resolve(context.machine, {
      port: context.port,
      signal: neverAborted,
    })
    hides(context, "the endpoint", open)
  }),

  "secrets.unreachable": law("the error of an unreachable machine contains no secret", [], async (context) => {
    const nowhere = withResolve(context.provider, async (machine, options) =>
      unreachable(await context.provider.resolve(machine, options)),
    )
    hides(
      context,
      "the error",
      await failure(context.fetcher({ provider: nowhere })(requestTo("/who")), "an unreachable machine"),
    )
  }),

  "secrets.record": law("the error of an invalid record does not repeat its values", ["wrong"], async (context) => {
    for (const [field, machine] of Object.entries(context.fixture.wrong!)) {
      const error = await failure(
        context.provider.resolve(machine, { port: context.port, signal: neverAborted }),
        field,
      )
      const text = textsOf(error)
      const value = machine.metadata[field]
      if (typeof value === "string" && value.length > 5 && text.includes(value)) {
        throw new LawBroken(`the error repeats the value of ${field}`)
      }
    }
  }),

  "secrets.refused": law(
    "the error of rejected credentials does not repeat them",
    ["unauthorized"],
    async (context) => {
      const undo = await context.fixture.unauthorized!()
      try {
        hides(context, "the error", await failure(context.fetcher()(requestTo("/who")), "rejected credentials"))
      } finally {
        await undo()
      }
    },
  ),

  "secrets.failing": law("the error of a failing vendor API contains no secret", ["unavailable"], async (context) => {
    const undo = await context.fixture.unavailable!()
    try {
      const error = await failure(context.fetcher()(requestTo("/who")), "a failing vendor API")
      const status = await context.provider
        .status?.(context.machine, { signal: neverAborted })
        .catch((error: unknown) => error)
      hides(context, "the error", error, status)
    } finally {
      await undo()
    }
  }),

  "secrets.classify": law(
    "a verdict repeats no secret that the platform sent back",
    ["provider.classify", "secrets"],
    (context) => {
      for (const secret of secretsOf(context)) {
        for (const status of [200, 302, 307, 400, 401, 403, 404, 408, 412, 429, 500, 502, 503, 504, 530]) {
          for (const body of [
            secret,
            JSON.stringify({ message: `bad token ${secret}`, error: secret, code: secret }),
          ]) {
            const verdict = context.provider.classify!({ status, header: () => secret, body }, context.machine)
            // The cause of a verdict is for logs, and may quote the response; the verdict itself may not.
            hides(context, `the verdict on ${status}`, typeof verdict === "string" ? verdict : fieldsOf(verdict))
            if (typeof verdict !== "string") hides(context, `the verdict on ${status}`, verdict.message)
          }
        }
      }
    },
  ),
}

/** Last: everything that was recorded while the other laws were checked. */
export const recordedSecrets = {
  "secrets.recorded": law("no result and no error during these laws contained a secret", [], (context) => {
    hides(context, "a result or an error", ...context.recorded)
  }),

  "secrets.console": law("nothing printed during these laws contained a secret", [], (context) => {
    hides(context, "the console", ...context.printed)
  }),
}
