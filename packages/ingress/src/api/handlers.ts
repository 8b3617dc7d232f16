import type { Ingresses } from "../control/ingresses.ts"
import type { DeclaredIngress } from "../resource/ingress.ts"
import type { Grant } from "../storage/ingress-storage.ts"
import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import type { Caller } from "./caller.ts"
import { showHypeman, readHypeman } from "./hypeman.ts"
import { GrantInput } from "./ingress-api.ts"
import type { GrantResource, IngressApi } from "./ingress-api.ts"
import { isoTime, showIngress, withoutReadOnly } from "./representation.ts"
import { RequestProblem } from "./request-problem.ts"

/** What a request asks of an operation. */
export interface Call extends Caller {
  /** Empty where the path has none. */
  readonly id: string
  readonly query: { readonly dryRun?: boolean; readonly limit?: number; readonly cursor?: string }
  readonly ifVersion?: number
  /** The body; `undefined` where the operation takes none. */
  readonly document: unknown
}

/** A response that is no error. */
export interface Reply {
  readonly status: number
  readonly body?: unknown
  readonly headers?: Readonly<Record<string, string>>
}

type Groups = typeof IngressApi.groups
type OperationName = { readonly [Group in keyof Groups]: keyof Groups[Group]["endpoints"] }[keyof Groups]

/** One for each operation of the definition. */
export type Handlers = { readonly [Name in OperationName]: (call: Call) => Promise<Reply> }

/** What the operations do: they read a call, call the ingresses, and show what came of it. */
export const handlersOf = (ingresses: Ingresses, mode: "hypeman" | undefined, basePath: string): Handlers => {
  const show = mode === "hypeman" ? showHypeman : showIngress
  const read = mode === "hypeman" ? readHypeman : (document: unknown) => document
  const shown = (ingress: DeclaredIngress, status: number, headers: Readonly<Record<string, string>> = {}): Reply => ({
    status,
    body: show(ingress),
    headers: { etag: `"${ingress.version}"`, ...headers },
  })

  const listAll = async (caller: Caller): Promise<readonly DeclaredIngress[]> => {
    const all: DeclaredIngress[] = []
    let cursor: string | undefined
    do {
      const page = await ingresses.list({ ...caller, limit: 1000, ...(cursor === undefined ? {} : { cursor }) })
      all.push(...page.ingresses)
      cursor = page.next
    } while (cursor !== undefined)
    return all
  }

  return {
    async create({ document, query: { dryRun = false }, ...call }) {
      const { ingress, diffs } = await ingresses.create(read(document), { ...callerOf(call), dryRun })
      if (dryRun) return { status: 200, body: { ingress: show(ingress), diffs } }
      return shown(ingress, 201, { location: `${basePath}/ingresses/${encodeURIComponent(ingress.id)}` })
    },
    async list({ query: { limit, cursor }, ...call }) {
      const caller = callerOf(call)
      if (mode === "hypeman" && limit === undefined && cursor === undefined) {
        return { status: 200, body: (await listAll(caller)).map(showHypeman) }
      }
      const page = await ingresses.list({
        ...caller,
        ...(limit === undefined ? {} : { limit }),
        ...(cursor === undefined ? {} : { cursor }),
      })
      const { next } = page
      if (mode === undefined) {
        const shown = page.ingresses.map(showIngress)
        return { status: 200, body: { ingresses: shown, ...(next === undefined ? {} : { next }) } }
      }
      // A plain array has no room for a cursor.
      const parameters = new URLSearchParams({ cursor: next ?? "", ...(limit && { limit: String(limit) }) })
      const link = next === undefined ? {} : { link: `<${basePath}/ingresses?${parameters}>; rel="next"` }
      return { status: 200, body: page.ingresses.map(showHypeman), headers: link }
    },
    async read(call) {
      return shown(await ingresses.read(call.id, callerOf(call)), 200)
    },
    async replace({ id, document, query: { dryRun = false }, ifVersion, ...call }) {
      const caller = callerOf(call)
      const given = read(withoutReadOnly(document))
      const { ingress, diffs } = await ingresses.replace(id, given, {
        ...caller,
        dryRun,
        ...(ifVersion === undefined ? {} : { ifVersion }),
      })
      return dryRun ? { status: 200, body: { ingress: show(ingress), diffs } } : shown(ingress, 200)
    },
    async remove({ id, query: { dryRun = false }, ifVersion, ...call }) {
      const { diffs } = await ingresses.remove(id, {
        ...callerOf(call),
        dryRun,
        ...(ifVersion === undefined ? {} : { ifVersion }),
      })
      return dryRun ? { status: 200, body: { diffs } } : { status: 204 }
    },
    async status({ id, ...call }) {
      return { status: 200, body: await ingresses.status(id, callerOf(call)) }
    },
    async grant({ document, ...call }) {
      const caller = callerOf(call)
      const grant = readGrant(document)
      const owner = grant.owner ?? caller.owner
      if (owner === undefined) throw new RequestProblem("bad_request", "owner must be present", "owner")
      if (caller.owner !== undefined && caller.owner !== owner) {
        throw new RequestProblem("forbidden", "owner must be the token's own: nobody else grants its targets", "owner")
      }
      return { status: 201, body: showGrant(await ingresses.grant({ owner, to: grant.to, target: grant.target })) }
    },
    async listGrants(call) {
      return { status: 200, body: { grants: (await ingresses.listGrants(callerOf(call))).map(showGrant) } }
    },
    async revokeGrant({ id, ...call }) {
      await ingresses.revokeGrant(id, callerOf(call))
      return { status: 204 }
    },
  }
}

const callerOf = ({ owner }: Caller): Caller => (owner === undefined ? {} : { owner })

const showGrant = ({ createdAt, ...grant }: Grant): GrantResource => ({ ...grant, createdAt: isoTime(createdAt) })

const decodeGrant = Schema.decodeUnknownResult(GrantInput, { onExcessProperty: "error" })

const readGrant = (document: unknown): typeof GrantInput.Type => {
  const decoded = decodeGrant(document)
  if (Result.isSuccess(decoded)) return decoded.success
  throw new RequestProblem(
    "bad_request",
    "a grant must be { owner?, to, target: { machine } or { project } }, of texts",
  )
}
