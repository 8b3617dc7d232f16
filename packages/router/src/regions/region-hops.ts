import { headerValue, requestHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames, SigningKey } from "@project-ingress/forward"
import { failureCode, headerValues, isTimedOut, nextRequestId, repeatedReport } from "@project-ingress/forward/internal"
import type { SendFailure } from "@project-ingress/forward/fetch"
import { MachineMismatch } from "@project-ingress/providers"
import type { Machine } from "@project-ingress/providers"
import * as Effect from "effect/Effect"
import { routerErrors } from "../error-rows.ts"
import { LoopDetected, ProxyFailed } from "../errors.ts"
import type { RouterError } from "../errors.ts"
import { pseudonym } from "../hop/loop.ts"
import { withHostField } from "../hosts/public-authority.ts"
import type { ArrivedHop, RegionEvent } from "../program/arrived-hop.ts"
import type { RegionHops, RegionSetup } from "../program/region-hops.ts"
import type { RouteToMachine } from "../program/resolve-route.ts"
import type { VisitorRequest } from "../program/sender.ts"
import { projectShare } from "../stores/project-share.ts"
import type { RouteRecord } from "../stores/record.ts"
import { regionErrors } from "./error-rows.ts"
import type { KnownBalancer } from "./balancers.ts"
import { timesInCdnLoop } from "./cdn-loop.ts"
import { hopField, MAX_HOPS } from "./hop-field.ts"
import type { HopRefusal } from "./hop-field.ts"
import { RegionUnreachable } from "./region-unreachable.ts"
import { restoredFields } from "./restored-fields.ts"

/** The region hops of one router. Throws a `TypeError` without keys that only routers know. */
export const regionHops = (
  self: string,
  balancers: ReadonlyMap<string, KnownBalancer>,
  keys: readonly SigningKey[] | undefined,
  { signingKey, headerNames, onEvent }: RegionSetup,
): RegionHops => {
  if (keys === undefined && signingKey.kty === "oct") {
    throw new TypeError("createRouter: regions: keys must be given: every machine has the signingKey, a shared secret")
  }
  const field = hopField(keys ?? [signingKey])
  const report = repeatedReport<Pick<RegionEvent, "outcome" | "reason">>((event, count) =>
    onEvent({ type: "region", ...event, count }),
  )

  const arrived: RegionHops["arrived"] = (request) => {
    const value = request.header(headerNames.regionHop)
    if (value === undefined) return undefined
    return field.verify(value, self, request).then((hop) => {
      if (typeof hop !== "string") return hop
      report(hop, { outcome: "hop_refused", reason: refusals[hop] })
      return undefined
    })
  }

  const isElsewhere: RegionHops["isElsewhere"] = (record, trace) => {
    const region = regionOf(record)
    if (region === undefined) return false
    const decision = region === self ? "here" : balancers.has(region) ? "hop" : "none"
    trace.push({ step: "region", outcome: region, decision, reason: decisions[decision](region) })
    return decision !== "here"
  }

  /** Why a request is not sent to another region, if it is not. */
  const refusal = (
    request: VisitorRequest,
    route: RouteToMachine,
    region: string,
    hops: number,
  ): RouterError | undefined => {
    if (request.hop !== undefined) {
      const { from } = request.hop
      // The hop itself says that one of the records is behind.
      if (isFirstTime(request)) return misplaced(route)
      const reason = `a request came from region ${from}, and the record here names region ${region}: ${from === region ? 508 : 502}`
      report(JSON.stringify([from, region]), { outcome: "disagreement", reason })
      // Sent back, it would go to and fro between the two. In a third region it might be served, but nobody knows which of the records is
      // right, and one hop is what a request gets.
      return from === region
        ? new LoopDetected({ hops: request.hop.hops + 1 })
        : new RegionUnreachable({ region, reason })
    }
    if (hops > MAX_HOPS) return new LoopDetected({ hops })
    if (balancers.has(region)) return undefined
    return new RegionUnreachable({ region, reason: "no load balancer of this region is configured" })
  }

  /** As the client sent them, and what the other router has to know. */
  const hopHeaders = async (request: VisitorRequest, region: string, hops: number): Promise<HeaderList> => {
    const { host, scheme, clientAddress, localPort, requestId = nextRequestId(), upgrade, expect, trailers } = request
    const signed = { from: self, to: region, hops, host, scheme, clientAddress, localPort, requestId }
    return requestHeaders(request.headers, {
      headerNames,
      pseudonym,
      trusted: false,
      upgrade: upgrade === true,
      expect: expect === true,
      trailers: trailers === true,
      add: ["CDN-Loop", pseudonym, headerNames.regionHop, await field.sign(signed, request)],
    })
  }

  const send: RegionHops["send"] = (request, route, sender, lookAgain) => {
    const region = regionOf(route.record)!
    const hops = timesInCdnLoop(headerValues(request.headers, "cdn-loop"), pseudonym) + 1
    const refused = refusal(request, route, region, hops)
    if (refused !== undefined) return Effect.fail(refused)
    const { endpoint, ca } = balancers.get(region)!
    const headers = Effect.tryPromise({
      try: () => hopHeaders(request, region, hops),
      catch: (cause) => new ProxyFailed({ cause }),
    })
    const sent = Effect.flatMap(headers, (headers) =>
      Effect.mapError(
        sender.send({
          endpoint,
          machine: connectionOwner(region, route),
          headers,
          settings: route.settings,
          changes: unchanged,
          stamps: undefined,
          toRouter: { ca, host: request.host },
        }),
        (failure) => unreachable(region, failure),
      ),
    )
    return Effect.flatMap(sent, ({ response, status, header }) => {
      const received = Effect.succeed({ _tag: "Machine", response, status, route, ...asItCame } as const)
      // Of the first hop only: if each of three routers sent it twice, three hops would be eight.
      if (hops > 1 || !isDisputed(header(headerNames.error)) || !isFirstTime(request)) return received
      // Lost with its body, but the next request then finds the machine.
      if (!sender.replayable("no")) return Effect.andThen(Effect.ignore(lookAgain()), received)
      sender.discard(response)
      return Effect.fail(misplaced(route))
    })
  }

  // What a region says against a record here is as good as a machine's 421: the record is looked up past every cache, as often as
  // its budget allows, and the request decided once more.
  const decidedAgain = new WeakSet<VisitorRequest>()
  const isFirstTime = (request: VisitorRequest): boolean => {
    if (decidedAgain.has(request)) return false
    decidedAgain.add(request)
    return true
  }

  const asSent: RegionHops["asSent"] = (request) => {
    const { method, path, headers } = request
    const valid = arrived({ method, path, header: (lowerName) => headerValue(headers, lowerName) })
    return valid === undefined
      ? request
      : valid.then((hop) => (hop === undefined ? request : askedBy(request, hop, headerNames)))
  }

  return { arrived, asSent, restored: (headers) => restoredFields(headers, headerNames), isElsewhere, send }
}

/** The request that a client made of the router that sent it by a hop. */
const askedBy = <R extends VisitorRequest>(request: R, hop: ArrivedHop, headerNames: HopHeaderNames): R => {
  const { host, scheme, clientAddress, localPort, requestId } = hop
  const headers = withHostField(restoredFields(request.headers, headerNames), host)
  return { ...request, host, scheme, clientAddress, localPort, requestId, headers, hop }
}

const regionOf = (record: RouteRecord): string | undefined => (record.kind === "machine" ? record.region : undefined)

/**
 * Whose connections these are: only requests of one owner follow each other on one, and no owner takes more than a pool of them.
 */
const connectionOwner = (region: string, { record, machine }: RouteToMachine): Machine => ({
  id: JSON.stringify(["region", region, projectShare(record, machine.id)]),
  type: "region",
  externalId: region,
  metadata: {},
})

const unchanged = { rewrite: () => {}, edit: undefined }

const misplaced = ({ machine: { type, externalId } }: RouteToMachine): MachineMismatch =>
  new MachineMismatch({ provider: type, machine: externalId })

/** Another router's response: it has replaced its error responses, isolated cookies and applied the policies' edits by itself. */
const asItCame = {
  stamped: true,
  byRouter: true,
  code: undefined,
  edgeCookies: undefined,
  changes: unchanged,
  redirectsToItself: false,
} as const

/** Whether the other router refused the request because its record names a region that is not its own. */
const isDisputed = (code: string | undefined): boolean =>
  code === routerErrors.LoopDetected.code || code === regionErrors.RegionUnreachable.code

const unreachable = (region: string, failure: SendFailure): RegionUnreachable =>
  new RegionUnreachable({
    region,
    reason: failureCode(failure) ?? failure.kind,
    timedOut: failure.kind === "timeout" || isTimedOut(failure),
    cause: failure,
  })

const refusals: Readonly<Record<HopRefusal, string>> = {
  malformed: "a request has a hop field that no router of ours wrote, and is served as its client's own",
  unsigned:
    "a hop is not signed by a key of this router for its method and path: the keys differ, the way changes paths, or it is forged",
  expired: "a hop is older than 30 s, or newer than now: the clocks of two regions differ, or it is repeated",
  misdirected: "a hop is for another region than this one: a region's load balancer leads to another region",
}

const decisions = {
  here: (region: string) => `in this region, ${region}`,
  hop: (region: string) => `sent to the load balancer of region ${region}`,
  none: (region: string) => `in region ${region}, which has no load balancer here: 502`,
}
