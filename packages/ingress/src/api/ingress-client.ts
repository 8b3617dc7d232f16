import { accept, checkOptions } from "@project-ingress/router/internal"
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FetchHttpClient from "effect/http/FetchHttpClient"
import * as HttpClient from "effect/http/HttpClient"
import * as HttpClientRequest from "effect/http/HttpClientRequest"
import * as HttpApiClient from "effect/http-api/HttpApiClient"
import { decodeIngress } from "../resource/decode-ingress.ts"
import { IngressInvalid } from "../resource/errors.ts"
import type { Ingress } from "../resource/ingress.ts"
import type { IngressStatus } from "../control/status.ts"
import type { ApiCode } from "./error-codes.ts"
import { IngressApi } from "./ingress-api.ts"
import type { GrantInput, GrantResource } from "./ingress-api.ts"
import { withoutReadOnly } from "./representation.ts"
import type { IngressResource } from "./representation.ts"

/** What {@link ingressClient} takes. */
export interface IngressClientOptions {
  /** Where the API is, with its base path: `https://ingress.example.com/v1`. */
  readonly baseUrl: string
  readonly token: string
  /** What sends requests: the `fetch` of a service binding, say. Default the global one. */
  readonly fetch?: typeof globalThis.fetch
}

/** Options of a change. */
export interface ClientChange {
  /** The expected version. Default any. */
  readonly ifVersion?: number
  /** Ends the wait; the change may have happened. */
  readonly signal?: AbortSignal
}

/** What a dry run shows. */
export interface PlannedIngress {
  readonly ingress: IngressResource
  readonly diffs: readonly { readonly front: string; readonly diff: string }[]
}

/** The operations of the API. Each rejects with an {@link IngressApiError}. References are ids, names, or beginnings of ids. */
export interface IngressClient {
  create(document: Ingress, options?: Omit<ClientChange, "ifVersion">): Promise<IngressResource>
  replace(reference: string, document: Ingress, options?: ClientChange): Promise<IngressResource>
  /** What `create` would do; with a reference, what `replace` would do. */
  dryRun(document: Ingress, reference?: string): Promise<PlannedIngress>
  remove(reference: string, options?: ClientChange): Promise<void>
  read(reference: string): Promise<IngressResource>
  /** One page. `limit`: 1 to 1 000, default 100. */
  list(options?: {
    readonly limit?: number
    readonly cursor?: string
  }): Promise<{ readonly ingresses: readonly IngressResource[]; readonly next?: string }>
  status(reference: string): Promise<IngressStatus>
  grant(grant: typeof GrantInput.Type): Promise<GrantResource>
  listGrants(): Promise<readonly GrantResource[]>
  revokeGrant(id: string): Promise<void>
}

/** What the API refused, or `unreachable`: no response that can be read, with the cause. */
export class IngressApiError extends Error {
  readonly _tag = "IngressApiError"
  override readonly name = "IngressApiError"
  readonly code: ApiCode | "unreachable"
  readonly field: string | undefined
  constructor(fields: {
    readonly code: ApiCode | "unreachable"
    readonly message: string
    readonly field?: string | undefined
    readonly cause?: unknown
  }) {
    super(fields.message, { cause: fields.cause })
    this.code = fields.code
    this.field = fields.field
  }
}

/**
 * A typed client of the API in its own form, without `mode`.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 *
 * @example
 * const client = ingressClient({ baseUrl: "https://ingress.example.com", token })
 * const { id, version } = await client.create({ name: "api", rules })
 */
export const ingressClient = (options: IngressClientOptions): IngressClient => {
  checkOptions("ingressClient", options, checks, { required: ["baseUrl", "token"] })
  const { baseUrl, token, fetch = globalThis.fetch } = options
  const { ingresses, grants } = Effect.runSync(
    HttpApiClient.make(IngressApi, {
      baseUrl,
      transformClient: HttpClient.mapRequest(HttpClientRequest.bearerToken(token)),
    }).pipe(
      Effect.provide(FetchHttpClient.layer),
      Effect.provideService(FetchHttpClient.Fetch, fetch),
      // The token is for this API, and not for where it may point to.
      Effect.provideService(FetchHttpClient.RequestInit, { redirect: "manual" }),
    ),
  )

  return {
    async create(document, { signal } = {}) {
      const payload = await checked(document)
      const created = await run(ingresses.create({ payload, query: {} }), signal)
      return resourceOf("body" in created ? created : {})
    },
    async replace(id, document, { signal, ...change } = {}) {
      const payload = await checked(withoutReadOnly(document))
      const call = ingresses.replace({ params: { id }, payload, query: {}, headers: ifMatch(change) })
      return resourceOf(await run(call, signal))
    },
    async dryRun(document, id) {
      const payload = await checked(withoutReadOnly(document))
      const query = { dryRun: true }
      const planned =
        id === undefined
          ? await run(ingresses.create({ payload, query }))
          : (await run(ingresses.replace({ params: { id }, payload, query, headers: {} }))).body
      if ("diffs" in planned) return planned
      throw unreadable()
    },
    async remove(id, { signal, ...change } = {}) {
      await run(ingresses.remove({ params: { id }, query: {}, headers: ifMatch(change) }), signal)
    },
    read: async (id) => resourceOf(await run(ingresses.read({ params: { id } }))),
    list: (query = {}) => run(ingresses.list({ query })),
    status: (id) => run(ingresses.status({ params: { id } })),
    grant: (payload) => run(grants.grant({ payload })),
    listGrants: async () => (await run(grants.listGrants({}))).grants,
    async revokeGrant(id) {
      await run(grants.revokeGrant({ params: { id } }))
    },
  }
}

/** Refuses here what the API would refuse: the schema, by which it is sent, would drop a misspelt `allowCidrs`. */
const checked = async (document: unknown): Promise<Ingress> => {
  try {
    await decodeIngress(document)
    return document as Ingress
  } catch (error) {
    if (!(error instanceof IngressInvalid)) throw error
    throw new IngressApiError({ code: "bad_request", message: error.message, field: error.field })
  }
}

const ifMatch = ({ ifVersion }: ClientChange) => (ifVersion === undefined ? {} : { "if-match": `"${ifVersion}"` })

const resourceOf = ({ body }: { readonly body?: IngressResource | PlannedIngress }): IngressResource => {
  if (body !== undefined && "id" in body) return body
  throw unreadable()
}

const unreadable = (): IngressApiError =>
  new IngressApiError({ code: "unreachable", message: "the response is not one of this API" })

const run = async <A, E>(call: Effect.Effect<A, E>, signal?: AbortSignal): Promise<A> => {
  const exit = await Effect.runPromiseExit(call, signal && { signal })
  if (Exit.isSuccess(exit)) return exit.value
  throw failure(Cause.squash(exit.cause))
}

const failure = (error: unknown): IngressApiError => {
  if (typeof error === "object" && error !== null && "code" in error && "message" in error) {
    return new IngressApiError(error as ConstructorParameters<typeof IngressApiError>[0])
  }
  return new IngressApiError({
    code: "unreachable",
    message: "the API gave no response that can be read",
    cause: error,
  })
}

const checks = {
  baseUrl: (value: unknown) =>
    typeof value === "string" && URL.canParse(value) && /^https?:/i.test(value) ? undefined : "an http(s) URL",
  token: accept.string,
  fetch: accept.function,
}
