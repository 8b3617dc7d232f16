import * as Schema from "effect/Schema"
import * as HttpApi from "effect/http-api/HttpApi"
import * as HttpApiEndpoint from "effect/http-api/HttpApiEndpoint"
import * as HttpApiGroup from "effect/http-api/HttpApiGroup"
import * as HttpApiMiddleware from "effect/http-api/HttpApiMiddleware"
import * as HttpApiSchema from "effect/http-api/HttpApiSchema"
import * as HttpApiSecurity from "effect/http-api/HttpApiSecurity"
import * as OpenApi from "effect/http-api/OpenApi"
import { IngressSchema } from "../resource/ingress-schema.ts"
import { errorsOf, Unauthorized } from "./error-codes.ts"
import { HypemanIngress } from "./hypeman.ts"
import { IngressResource, shownTime } from "./representation.ts"

/** Says in the document that every operation wants a bearer token. It is checked by `ingressApi`. */
class Authorization extends HttpApiMiddleware.Service<Authorization>()("@project-ingress/ingress/api/Authorization", {
  security: { bearer: HttpApiSecurity.bearer },
  error: Unauthorized,
}) {}

const text = Schema.String
const optional = Schema.optionalKey
const token = (description: string) =>
  Schema.String.check(Schema.isPattern(/^[\x21-\x7e]{1,256}$/, { expected: "1 to 256 characters of visible ASCII" }))
    .annotate({ description })
    .annotate({ expected: "1 to 256 characters of visible ASCII" })

const dryRun = optional(Schema.Boolean.annotate({ expected: "true or false" })).annotate({
  description: "true: checks the change, shows what it would do, and changes nothing.",
})
const limit = optional(
  Schema.Int.check(Schema.isBetween({ minimum: 1, maximum: 1000 })).annotate({
    expected: "an integer from 1 to 1000",
  }),
).annotate({ description: "1 to 1000. Default 100." })
const ifMatch = {
  "if-match": optional(text).annotate({ description: 'The expected version, `"3"`, or `*`. Absent: any.' }),
}
const etag = Schema.String.annotate({ description: 'The version: `"3"`.' })
const about = (summary: string) => OpenApi.annotations({ summary })

/** A target that an owner lets ingresses of another owner lead to. */
const Target = Schema.Union([
  Schema.Struct({ machine: token("Its id") }),
  Schema.Struct({ project: token("Its name") }),
])
const reference = { id: Schema.String.annotate({ description: "An id, a name, or the beginning of an id." }) }

/** What POST /grants takes. */
export const GrantInput = Schema.Struct({
  owner: optional(token("The owner of the target. Default: the token's own.")),
  to: token("Whose ingresses may lead there."),
  target: Target,
}).annotate({ identifier: "GrantInput" })

/** A grant as the API shows it. */
export const GrantResource = Schema.Struct({
  id: text,
  owner: text,
  to: text,
  target: Target,
  createdAt: shownTime,
}).annotate({ identifier: "Grant" })

export type GrantResource = typeof GrantResource.Type

const Status = Schema.Struct({
  id: text,
  name: text,
  parents: Schema.Array(
    Schema.Struct({
      parent: text.annotate({ description: "`router`, or the name of a front" }),
      conditions: Schema.Array(
        Schema.Struct({
          type: Schema.Literals(["Accepted", "ResolvedRefs", "Programmed", "Served"]),
          status: Schema.Literals(["True", "False", "Unknown"]),
          reason: text,
          message: text,
          observedGeneration: Schema.Int,
          layer: optional(text),
          ageMs: optional(Schema.Number),
        }),
      ),
    }),
  ),
}).annotate({ identifier: "IngressStatus" })

const page = Schema.Struct({ ingresses: Schema.Array(IngressResource), next: optional(text) }).annotate({
  identifier: "IngressPage",
  description: "next: the cursor of the next page; absent on the last one.",
})

/** The operations, with the ingress in one form, and lists of it. */
const define = (shown: typeof IngressResource, listed: typeof page) => {
  const diffs = Schema.Array(Schema.Struct({ front: text, diff: text }))
  const planned = Schema.Struct({
    ingress: shown,
    diffs,
  }).annotate({ identifier: "DryRun", description: "What a dry run shows: one diff for each front." })
  return HttpApi.make("ingress")
    .add(
      HttpApiGroup.make("ingresses")
        .add(
          HttpApiEndpoint.post("create", "/ingresses", {
            query: { dryRun },
            payload: IngressSchema,
            success: [
              HttpApiSchema.WithHeaders(shown.pipe(HttpApiSchema.status(201)), { location: text, etag }),
              planned,
            ],
            error: errorsOf.create,
          }).annotateMerge(about("Declares an ingress")),
          HttpApiEndpoint.get("list", "/ingresses", {
            query: { limit, cursor: optional(token("Of the page before.")) },
            success: listed,
            error: errorsOf.list,
          }).annotateMerge(about("Lists ingresses by id")),
          HttpApiEndpoint.get("read", "/ingresses/:id", {
            params: reference,
            success: HttpApiSchema.WithHeaders(shown, { etag }),
            error: errorsOf.read,
          }).annotateMerge(about("Reads an ingress")),
          HttpApiEndpoint.put("replace", "/ingresses/:id", {
            params: reference,
            query: { dryRun },
            headers: ifMatch,
            payload: IngressSchema,
            // One status has one set of headers; a dry run has no ETag.
            success: HttpApiSchema.WithHeaders(Schema.Union([shown, planned]), { etag: optional(etag) }),
            error: errorsOf.replace,
          }).annotateMerge(about("Replaces name and rules of an ingress")),
          HttpApiEndpoint.delete("remove", "/ingresses/:id", {
            params: reference,
            query: { dryRun },
            headers: ifMatch,
            success: [
              HttpApiSchema.NoContent,
              Schema.Struct({ diffs }).annotate({
                identifier: "RemovalDryRun",
                description: "What a dry run of a removal shows: one diff for each front.",
              }),
            ],
            error: errorsOf.remove,
          }).annotateMerge(about("Removes an ingress")),
          HttpApiEndpoint.get("status", "/ingresses/:id/status", {
            params: reference,
            success: Status,
            error: errorsOf.read,
          }).annotateMerge(about("Says what became of an ingress at the router and at each front")),
        )
        .middleware(Authorization),
    )
    .add(
      HttpApiGroup.make("grants")
        .add(
          HttpApiEndpoint.post("grant", "/grants", {
            payload: GrantInput,
            success: GrantResource.pipe(HttpApiSchema.status(201)),
            error: errorsOf.grant,
          }).annotateMerge(about("Lets ingresses of another owner lead to a target")),
          HttpApiEndpoint.get("listGrants", "/grants", {
            success: Schema.Struct({ grants: Schema.Array(GrantResource) }),
            error: errorsOf.list,
          }).annotateMerge(about("Lists grants")),
          HttpApiEndpoint.delete("revokeGrant", "/grants/:id", {
            params: { id: text },
            success: HttpApiSchema.NoContent,
            error: errorsOf.revoke,
          }).annotateMerge(about("Takes a grant back")),
        )
        .middleware(Authorization),
    )
    .annotateMerge(OpenApi.annotations({ title: "Ingress API", version: "1" }))
}

/** The HTTP API of ingresses: for `HttpApiClient`, `OpenApi` and whatever else reads an `HttpApi`. `ingressApi` serves it. */
export const IngressApi = define(IngressResource, page)

/** The same operations with the words of the mode `hypeman`. The type is the other form's: nothing depends on it but the document. */
export const HypemanApi = define(
  HypemanIngress as unknown as typeof IngressResource,
  Schema.Array(HypemanIngress) as unknown as typeof page,
)
