import * as Result from "effect/Result"
import * as Schema from "effect/Schema"
import * as SchemaIssue from "effect/SchemaIssue"
import { RequestProblem } from "./request-problem.ts"

/** An operation of the API, and what a request says to it. */
export interface FoundOperation {
  /** `create`, `listGrants` */
  readonly name: string
  readonly takesBody: boolean
  readonly takesVersion: boolean
  /** The `:id` of the path, decoded; empty if it has none. */
  readonly id: string
  /** @throws {RequestProblem} 400 for a parameter that is unknown, repeated or invalid */
  readonly query: (parameters: URLSearchParams) => Readonly<Record<string, unknown>>
}

interface Operation extends Omit<FoundOperation, "id"> {
  readonly method: string
  readonly segments: readonly string[]
}

/** What an `HttpApi` holds, as far as requests are found by it. */
interface Definition {
  readonly groups: Readonly<
    Record<
      string,
      {
        readonly endpoints: Readonly<
          Record<
            string,
            {
              readonly identifier: string
              readonly method: string
              readonly path: string
              readonly query: Schema.Top | undefined
              readonly headers: Schema.Top | undefined
              readonly payload: ReadonlyMap<string, unknown>
            }
          >
        >
      }
    >
  >
}

/** Finds operations by the definition, so that what is documented and what is served are one. */
export const operationsOf = (api: Definition) => {
  const operations = Object.values(api.groups).flatMap((group) =>
    Object.values(group.endpoints).map(({ identifier, method, path, query, payload, headers }): Operation => ({
      name: identifier,
      method,
      segments: path.split("/"),
      takesBody: payload.size > 0,
      takesVersion: headers !== undefined,
      query: readQuery(query ?? Schema.Struct({})),
    })),
  )
  /**
   * @throws {RequestProblem} 404 for a path outside of the API, 405 for a method that it does not take
   */
  return (method: string, path: string): FoundOperation => {
    const segments = path.split("/")
    const there = operations.filter((operation) => isAt(operation, segments))
    const found = there.find((operation) => operation.method === method)
    if (found !== undefined) return { ...found, id: idOf(found, segments) }
    if (there.length === 0) throw new RequestProblem("not_found", "there is nothing at this path")
    const methods = there.flatMap(({ method }) => (method === "GET" ? ["GET", "HEAD"] : [method]))
    throw methodNotAllowed(methods)
  }
}

/** 405, with the methods that there are (RFC 9110 §15.5.6). */
export const methodNotAllowed = (methods: readonly string[]): RequestProblem => {
  const allow = methods.join(", ")
  return new RequestProblem("method_not_allowed", `the method must be ${allow}`, undefined, { allow })
}

const isAt = ({ segments }: Operation, asked: readonly string[]): boolean =>
  segments.length === asked.length &&
  segments.every((segment, at) => (segment === ":id" ? asked[at] !== "" : segment === asked[at]))

/** Ids and names have letters, digits and hyphens alone: nothing else reaches a storage. */
const idOf = ({ segments }: Operation, asked: readonly string[]): string => {
  const at = segments.indexOf(":id")
  if (at === -1) return ""
  const id = decoded(asked[at]!)
  if (!/^[A-Za-z\d][A-Za-z\d._-]{0,127}$/.test(id)) throw new RequestProblem("not_found", "there is no such id or name")
  return id
}

/** `%61` is `a` (RFC 3986 §2.3). */
const decoded = (segment: string): string => {
  try {
    return decodeURIComponent(segment)
  } catch {
    return ""
  }
}

const formatIssue = SchemaIssue.makeFormatterStandardSchemaV1()

const readQuery = (schema: Schema.Top): Operation["query"] => {
  const decode = Schema.decodeUnknownResult(schema as Schema.Codec<Record<string, unknown>>, {
    // A `dryrun` that is ignored would change what was only to be looked at.
    onExcessProperty: "error",
  })
  return (parameters) => {
    const names = [...parameters.keys()]
    const repeated = names.find((name, at) => names.indexOf(name) !== at)
    if (repeated !== undefined) throw invalid(repeated)
    const decoded = decode(Object.fromEntries(parameters))
    if (Result.isSuccess(decoded)) return decoded.success
    const [first] = formatIssue(decoded.failure.issue).issues
    const [part = ""] = first?.path ?? []
    throw invalid(String(typeof part === "object" ? part.key : part))
  }
}

const invalid = (name: string): RequestProblem => {
  const shown = name.slice(0, 64)
  return new RequestProblem("bad_request", `the query parameter ${shown} is unknown, repeated or invalid`, shown)
}
