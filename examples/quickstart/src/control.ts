import type { MemoryStore, RouteInput } from "@project-ingress/router/stores/memory"
import type { Machines } from "./machines.ts"
import { controlPage } from "./pages.ts"

/** A page of a project, and what it shows. */
export interface Link {
  readonly url: string
  readonly shows: string
}

/** A project of the demo. */
export interface Project {
  readonly project: string
  /** The machine that it is attached to; `null` while it is detached. */
  readonly machine: string | null
  readonly links: readonly Link[]
}

/** The projects of the demo, each attached to one machine or none. */
export interface Projects {
  /** False for a project or a machine that the demo does not have. */
  readonly attach: (project: string, machine: string) => boolean
  readonly detach: (project: string) => boolean
  readonly state: () => readonly Project[]
  /** Calls `changed` after each attach and detach, until what it returns is called. */
  readonly watch: (changed: () => void) => () => void
}

/** Projects over a route store; `port` is the router's. */
export const makeProjects = (
  names: readonly string[],
  routes: MemoryStore,
  machines: Machines,
  port: number,
): Projects => {
  const watchers = new Set<() => void>()
  const write = (project: string, route: RouteInput): true => {
    routes.attach(`p:${project}`, route)
    for (const changed of watchers) changed()
    return true
  }
  const attached = (project: string): string | null => {
    const found = routes.get(`p:${project}`)
    return found.status === "hit" && found.record.kind === "machine" ? found.record.machine.id : null
  }
  const appLabel = machines.byPort ? "4096__" : "app--"
  return {
    attach: (project, machine) => {
      const route = machines.routes.get(machine)
      if (route === undefined || !names.includes(project)) return false
      const { published: _, ...input } = route
      return write(project, input)
    },
    // The project stays, without a machine: 503 MACHINE_DETACHED. A name that nobody has is 404 ROUTE_NOT_FOUND.
    detach: (project) => names.includes(project) && write(project, { kind: "detached" }),
    state: () =>
      names.map((project) => ({
        project,
        machine: attached(project),
        links: [
          {
            url: `http://${appLabel}${project}.localhost:${port}/`,
            shows: "the app: a WebSocket, an event stream, an upload",
          },
          { url: `http://${project}.localhost:${port}/`, shows: "port 3000, where a name without a port leads" },
        ],
      })),
    watch: (changed) => {
      watchers.add(changed)
      return () => watchers.delete(changed)
    },
  }
}

/** What serves http://localhost:8787/: a page, its state, and two calls that only this page and a terminal may make. */
export const control =
  (current: () => { readonly projects: Projects; readonly machines: Machines; readonly why: string } | undefined) =>
  (request: Request): Response => {
    const url = new URL(request.url)
    // Another name that leads here is an attack with DNS.
    if (url.hostname !== "localhost" && url.hostname !== "127.0.0.1") {
      const home = Object.assign(new URL("/", url), { hostname: "localhost" })
      return text(404, `${url.hostname} is no project's name here: the projects are listed at ${home.href}`)
    }
    const demo = current()
    // A browser that comes before the machines asks again each second.
    if (demo === undefined) return text(503, "the machines are starting", { refresh: "1" })
    const { projects, machines, why } = demo
    const state = () => ({ why, machines: [...machines.routes.keys()], projects: projects.state() })

    if (request.method === "GET" && url.pathname === "/") {
      return new Response(controlPage(), {
        headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
      })
    }
    if (request.method === "GET" && url.pathname === "/state") {
      return Response.json(state())
    }
    if (request.method === "GET" && url.pathname === "/changes") return changes(projects, state)
    if (url.pathname !== "/attach" && url.pathname !== "/detach") return text(404, "no such page")
    if (request.method !== "POST") return text(405, "POST only")
    if (!isOwn(request, url)) return text(403, "only this page and a terminal may do that")
    const project = url.searchParams.get("project") ?? ""
    const done =
      url.pathname === "/attach"
        ? projects.attach(project, url.searchParams.get("machine") ?? "")
        : projects.detach(project)
    return done ? Response.json({ projects: projects.state() }) : text(404, "no such project or machine")
  }

/** The state now and after each change, as an event stream: whoever attaches, by a button, a key or curl, every page shows it. */
const changes = ({ watch }: Projects, state: () => unknown): Response => {
  const encoder = new TextEncoder()
  let unwatch = (): void => {}
  const body = new ReadableStream<Uint8Array>({
    start: (stream) => {
      const send = (): void => stream.enqueue(encoder.encode(`data: ${JSON.stringify(state())}\n\n`))
      unwatch = watch(send)
      send()
    },
    cancel: () => unwatch(),
  })
  return new Response(body, { headers: { "content-type": "text/event-stream", "cache-control": "no-store" } })
}

/** A browser names the page that asks; the projects' own pages are of the same site, never of the same origin. */
const isOwn = (request: Request, url: URL): boolean => {
  const origin = request.headers.get("origin")
  const site = request.headers.get("sec-fetch-site")
  return (origin === null || origin === url.origin) && (site === null || site === "same-origin")
}

const text = (status: number, body: string, more: Readonly<Record<string, string>> = {}): Response =>
  new Response(`${body}\n`, { status, headers: { "content-type": "text/plain", ...more } })
