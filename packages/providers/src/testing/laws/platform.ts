import { isProviderError } from "../../contract/errors.ts"
import type { PlatformResponse, Verdict } from "../../contract/machine-provider.ts"
import { equal, failure, LawBroken, ok, tagged } from "../assert.ts"
import type { Undo } from "../fixture.ts"
import { law, requestOf } from "../world.ts"
import type { World } from "../world.ts"

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
const asked = function* (): Generator<PlatformResponse> {
  for (let status = 100; status < 600; status++) {
    // Every body at the statuses that say something, one in turn at the rest.
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
const judged = (world: World, answer: PlatformResponse): Verdict => {
  try {
    return world.provider.classify!(answer, world.machine)
  } catch (cause) {
    throw new LawBroken(`classify throws at status ${answer.status}: ${String(cause)}`, { cause })
  }
}

/** The platform is put into a state, and a request tells of it. */
const meets = async (
  world: World,
  hook: "rateLimit" | "unauthorized" | "unavailable" | "portClosed",
  ...tags: readonly string[]
): Promise<Error> => {
  const undo: Undo = await world.fixture[hook]!()
  let error: unknown
  try {
    error = await failure(world.fetcher()(requestOf("/who")), "a request meanwhile")
  } finally {
    await undo()
  }
  tagged(error, ...tags)
  equal(await (await world.fetcher()(requestOf("/who"))).text(), world.machine.id, "who answers after it")
  return error
}

/** What the vendor says by itself. */
export const platform = {
  "classify.total": law("every answer without a stamp has a meaning", ["provider.classify"], (world) => {
    for (const answer of asked()) {
      const verdict: unknown = judged(world, answer)
      ok(
        verdict === "check-status" || verdict === "refresh-credentials" || isProviderError(verdict),
        `classify gives an error of the contract, "check-status" or "refresh-credentials" for status ${answer.status}`,
      )
    }
  }),

  "classify.pure": law("the same answer has the same meaning", ["provider.classify"], (world) => {
    for (const answer of asked()) {
      equal(shown(judged(world, answer)), shown(judged(world, answer)), `the second verdict on ${answer.status}`)
    }
  }),

  "classify.names": law("a meaning names the machine it is about", ["provider.classify"], (world) => {
    for (const answer of asked()) {
      const verdict = judged(world, answer)
      if (typeof verdict === "string") continue
      equal([verdict.provider, verdict.machine], [world.machine.type, world.machine.externalId], "whom it names")
    }
  }),

  "platform.rate-limit": law(
    "too many requests are ProviderRateLimited, with the time to wait",
    ["rateLimit"],
    async (world) => {
      const error = await meets(world, "rateLimit", "ProviderRateLimited")
      const { retryAfterMs } = error as { retryAfterMs?: unknown }
      ok(typeof retryAfterMs === "number" && retryAfterMs > 0, "retryAfterMs is a number of ms")
    },
  ),

  "platform.unauthorized": law("refused credentials are ProviderAuth", ["unauthorized"], (world) =>
    meets(world, "unauthorized", "ProviderAuth"),
  ),

  "platform.rotate": law(
    "credentials of the edge that have ended are renewed for the request",
    ["rotate"],
    async (world) => {
      const fetcher = world.fetcher()
      const ask = async () => (await fetcher(requestOf("/who"))).text()
      equal(await ask(), world.machine.id, "who answers before")
      await world.fixture.rotate!()
      equal(await ask(), world.machine.id, "who answers after")
    },
  ),

  "platform.unavailable": law("a vendor that fails is ProviderUnavailable", ["unavailable"], (world) =>
    meets(world, "unavailable", "ProviderUnavailable"),
  ),

  "platform.port-closed": law(
    "a machine whose proxy does not listen is PortClosed, or starting when it is young",
    ["portClosed"],
    (world) => meets(world, "portClosed", "PortClosed", "MachineStarting"),
  ),
}
