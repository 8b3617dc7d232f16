import type { SqlRegistry } from "@project-ingress/router/stores/d1"
import type { NewMachine, NewProject, RegistryError } from "@project-ingress/router/stores/memory"
import { bears } from "./bearer.ts"
import { changing } from "./routes.ts"
import type { Routes } from "./routes.ts"

/**
 * Attaches machines to projects, for whoever bears the token. Bodies are JSON.
 *
 * | request                              | does                                                             |
 * | ------------------------------------ | ---------------------------------------------------------------- |
 * | `POST /api/migrate`                  | makes the tables: once for each deployment                       |
 * | `PUT /api/machines/<id>`             | registers a machine: `{ type, externalId, metadata, owner? }`    |
 * | `POST /api/projects`                 | creates a project: `{ name, owner?, machine? }`                  |
 * | `GET /api/projects/<name>`           | reads it                                                         |
 * | `POST /api/projects/<name>/attach`   | points it at `{ machine }`                                       |
 * | `POST /api/projects/<name>/detach`   | takes its machine away                                           |
 * | `DELETE /api/projects/<name>`        | removes it; its name is kept for 30 days                         |
 */
export const controlPlane =
  (routes: Routes, token: string | undefined) =>
  async (request: Request): Promise<Response> => {
    if (!(await bears(request, token))) return refused(401, "UNAUTHORIZED", "a bearer token is required")
    try {
      const operation = operationOf(routes.registry, request)
      if (operation === undefined) return refused(404, "NOT_FOUND", "there is no such operation")
      const result = await (changesRoutes(request) ? changing(routes, operation) : operation())
      return result === undefined ? new Response(null, { status: 204 }) : Response.json(result)
    } catch (cause) {
      return responseOf(cause)
    }
  }

/** Reading changes nothing, and before the tables are made there is nothing to read. */
const changesRoutes = ({ method, url }: Request): boolean =>
  method !== "GET" && new URL(url).pathname !== "/api/migrate"

const operationOf = (registry: SqlRegistry, request: Request): (() => Promise<unknown>) | undefined => {
  const [kind, reference, action, ...rest] = new URL(request.url).pathname
    .slice("/api/".length)
    .split("/")
    .map(decodeURIComponent)
  if (rest.length > 0) return undefined
  switch (
    `${request.method} ${kind}${reference === undefined ? "" : "/:"}${action === undefined ? "" : `/${action}`}`
  ) {
    case "POST migrate":
      return () => registry.migrate()
    case "PUT machines/:":
      return async () => registry.putMachine({ ...(await bodyOf(request)), id: reference! } as NewMachine)
    case "POST projects":
      return async () => registry.create((await bodyOf(request)) as unknown as NewProject)
    case "GET projects/:":
      return () => registry.read(reference!)
    case "POST projects/:/attach":
      return async () => registry.attach(reference!, (await bodyOf(request))["machine"] as string)
    case "POST projects/:/detach":
      return () => registry.detach(reference!)
    case "DELETE projects/:":
      return () => registry.remove(reference!)
    default:
      return undefined
  }
}

/** The fields of a body; what is in them is checked by the registry. */
const bodyOf = async (request: Request): Promise<Readonly<Record<string, unknown>>> => {
  const body: unknown = await request.json().catch(() => undefined)
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new BadRequest("the body must be an object")
  return body as Readonly<Record<string, unknown>>
}

class BadRequest extends Error {}

const statuses: Readonly<Record<RegistryError["_tag"], readonly [status: number, code: string]>> = {
  NotFound: [404, "NOT_FOUND"],
  InvalidInput: [400, "BAD_REQUEST"],
  AmbiguousReference: [400, "BAD_REQUEST"],
  ReservedName: [400, "BAD_REQUEST"],
  OwnerMismatch: [403, "FORBIDDEN"],
  NameTaken: [409, "CONFLICT"],
  ExternalIdTaken: [409, "CONFLICT"],
  DomainTaken: [409, "CONFLICT"],
  DomainNotVerified: [409, "CONFLICT"],
  MachineTaken: [409, "CONFLICT"],
  VersionConflict: [409, "CONFLICT"],
}

const responseOf = (cause: unknown): Response => {
  if (cause instanceof BadRequest || cause instanceof URIError) return refused(400, "BAD_REQUEST", cause.message)
  const tag = (cause as Partial<RegistryError> | undefined)?._tag
  const known = tag === undefined ? undefined : statuses[tag]
  if (known !== undefined) return refused(...known, (cause as RegistryError).message)
  // What a database says of its failure is for logs.
  console.error(cause)
  return refused(503, "REGISTRY_UNAVAILABLE", "the registry did not answer; whether it changed anything is not known")
}

const refused = (status: number, error: string, message: string): Response =>
  Response.json({ error, message }, { status })
