import type { MemoryStore } from "@project-ingress/router/stores/memory"
import type { Machines } from "./machines.ts"
import { controlPage } from "./pages.ts"

/** The projects of the demo, each attached to one machine or none. */
export interface Projects {
  readonly attach: (project: string, machine: string) => boolean
  readonly detach: (project: string) => boolean
  readonly state: () => readonly {
    readonly project: string
    readonly machine: string | null
    readonly urls: readonly string[]
  }[]
}

/** Projects over a route store; `port` is the router's. */
export const makeProjects = (
  names: readonly string[],
  routes: MemoryStore,
  machines: Machines,
  port: number,
): Projects => {
  const attached = (project: string): string | null => {
    const found = routes.get(`p:${project}`)
    return found.status === "hit" && found.record.kind === "machine" ? found.record.machine.id : null
  }
  return {
    attach: (project, machine) => {
      const route = machines.routes.get(machine)
      if (route === undefined || !names.includes(project)) return false
      const { published: _, ...input } = route
      routes.attach(`p:${project}`, input)
      return true
    },
    detach: (project) => names.includes(project) && routes.detach(`p:${project}`),
    state: () =>
      names.map((project) => ({
        project,
        machine: attached(project),
        urls: [machines.byPort ? `4096__${project}` : `app--${project}`, project].map(
          (label) => `http://${label}.localhost:${port}/`,
        ),
      })),
  }
}

/** What serves http://localhost:8787/: a page, its state, and two calls that only this page and a terminal may make. */
export const control =
  (current: () => { readonly projects: Projects; readonly machines: Machines; readonly why: string } | undefined) =>
  (request: Request): Response => {
    const url = new URL(request.url)
    // Another name that leads here is an attack with DNS.
    if (url.hostname !== "localhost" && url.hostname !== "127.0.0.1") return text(404, "no such host")
    const demo = current()
    if (demo === undefined) return text(503, "the machines are starting")
    const { projects, machines, why } = demo

    if (request.method === "GET" && url.pathname === "/") {
      return new Response(controlPage(), {
        headers: { "content-type": "text/html; charset=utf-8", "cache-control": "no-store" },
      })
    }
    if (request.method === "GET" && url.pathname === "/state") {
      return Response.json({ why, machines: [...machines.routes.keys()], projects: projects.state() })
    }
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

/** A browser names the page that asks; the projects' own pages are of the same site, never of the same origin. */
const isOwn = (request: Request, url: URL): boolean => {
  const origin = request.headers.get("origin")
  const site = request.headers.get("sec-fetch-site")
  return (origin === null || origin === url.origin) && (site === null || site === "same-origin")
}

const text = (status: number, body: string): Response =>
  new Response(`${body}\n`, { status, headers: { "content-type": "text/plain" } })
