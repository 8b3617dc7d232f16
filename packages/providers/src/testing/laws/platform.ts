import { isProviderError } from "../../contract/errors.ts"
import type { PlatformResponse, Verdict } from "../../contract/machine-provider.ts"
import { equal, failure, LawBroken, ok, tagged } from "../assert.ts"
import type { Undo } from "../fixture.ts"
import { requestTo } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

const bodies = [
  undefined,
  "",
  "{",
  "null",
  "[]",
  `"text"`,
  `{"error":{}}`,
  `{"code":null,"message":["x"]}`,
  `{"statusCode":400,"message":"bad request: Is the Sandbox started?"}`,
  "<!doctype html><title>Sign in</title>",
  "\u0000\ufffd".repeat(2_048),
]
const heads: readonly Readonly<Record<string, string>>[] = [
  {},
  { "content-type": "application/json; charset=utf-8" },
  { "content-type": "text/html", location: "https://login.example/?next=%2F", "retry-after": "soon" },
  { "retry-after": "30", server: "edge", location: "not a url::" },
  { "retry-after": "Wed, 21 Oct 2026 07:28:00 GMT" },
]
const platformResponses = function* (): Generator<PlatformResponse> {
  for (let status = 100; status < 600; status++) {
    // Every body with the statuses that have a meaning, one of them in turn with the rest.
    const some = status % 100 < 32 ? bodies : [bodies[status % bodies.length]]
    for (const [i, body] of some.entries()) {
      const head = heads[(status + i) % heads.length]!
      yield Object.freeze({
        status,
        header: (lowerName: string) => head[lowerName],
        ...(body === undefined ? {} : { body }),
      })
    }
  }
}
const shown = (verdict: Verdict): unknown =>
  typeof verdict === "string"
    ? verdict
    : [verdict._tag, verdict.message, Object.entries(verdict).filter(([name]) => name !== "cause")]
const classify = (context: LawContext, response: PlatformResponse): Verdict => {
  try {
    return context.provider.classify!(response, context.machine)
  } catch (cause) {
    throw new LawBroken(`classify throws at status ${response.status}: ${String(cause)}`, { cause })
  }
}

/** Puts the platform into a state; a request fails with one of the tags, and succeeds when the state is over. */
const failsWith = async (
  context: LawContext,
  hook: "rateLimit" | "unauthorized" | "unavailable" | "portClosed",
  ...tags: readonly string[]
): Promise<Error> => {
  const undo: Undo = await context.fixture[hook]!()
  let error: unknown
  try {
    error = await failure(context.fetcher()(requestTo("/who")), "a request")
  } finally {
    await undo()
  }
  tagged(error, ...tags)
  equal(
    await (await context.fetcher()(requestTo("/who"))).text(),
    context.machine.id,
    "the machine that responds afterwards",
  )
  return error
}

/** Failures and responses of the platform itself. */
export const platform = {
  "classify.total": law("every response without a stamp has a verdict", ["provider.classify"], (context) => {
    for (const response of platformResponses()) {
      const verdict: unknown = classify(context, response)
      ok(
        verdict === "check-status" || verdict === "refresh-credentials" || isProviderError(verdict),
        `classify gives an error of the contract, "check-status" or "refresh-credentials" for status ${response.status}`,
      )
    }
  }),

  "classify.pure": law("the same response has the same verdict", ["provider.classify"], (context) => {
    for (const response of platformResponses()) {
      equal(
        shown(classify(context, response)),
        shown(classify(context, response)),
        `the second verdict on ${response.status}`,
      )
    }
  }),

  "classify.names": law("an error that is a verdict names the machine", ["provider.classify"], (context) => {
    for (const response of platformResponses()) {
      const verdict = classify(context, response)
      if (typeof verdict === "string") continue
      equal(
        [verdict.provider, verdict.machine],
        [context.machine.type, context.machine.externalId],
        "the machine that it names",
      )
    }
  }),

  "platform.rate-limit": law(
    "a rate limit is ProviderRateLimited, with the time to wait",
    ["rateLimit"],
    async (context) => {
      const error = await failsWith(context, "rateLimit", "ProviderRateLimited")
      const { retryAfterMs } = error as { retryAfterMs?: unknown }
      ok(typeof retryAfterMs === "number" && retryAfterMs > 0, "retryAfterMs is a number of ms")
    },
  ),

  "platform.unauthorized": law("rejected credentials are ProviderAuth", ["unauthorized"], (context) =>
    failsWith(context, "unauthorized", "ProviderAuth"),
  ),

  "platform.rotate": law(
    "expired credentials of the edge are renewed within a request",
    ["rotate"],
    async (context) => {
      const fetcher = context.fetcher()
      const responder = async () => (await fetcher(requestTo("/who"))).text()
      equal(await responder(), context.machine.id, "the machine that responds before")
      await context.fixture.rotate!()
      equal(await responder(), context.machine.id, "the machine that responds after")
    },
  ),

  "platform.unavailable": law("a failing vendor API is ProviderUnavailable", ["unavailable"], (context) =>
    failsWith(context, "unavailable", "ProviderUnavailable"),
  ),

  "platform.port-closed": law(
    "a machine whose proxy does not listen is PortClosed, or MachineStarting soon after its start",
    ["portClosed"],
    (context) => failsWith(context, "portClosed", "PortClosed", "MachineStarting"),
  ),
}
