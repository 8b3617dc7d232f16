import type { Grammar } from "@project-ingress/hostname"
import type { RouteStore } from "@project-ingress/router"
import type { Access } from "@project-ingress/router/access"
import { signInHandler } from "@project-ingress/router/access"

/** The users, each with a password that is the name, and the projects that each is a member of. A platform has a database. */
const users: Readonly<Record<string, readonly string[]>> = { ann: ["prj_misha"], eve: ["prj_eve"] }

/** Whether a user is a member of a project. */
export const isMember = (user: string, project: string | undefined): boolean =>
  project !== undefined && users[user]?.includes(project) === true

/** What {@link controlPlane} takes. */
export interface ControlPlaneOptions {
  readonly access: Access
  readonly grammar: Grammar
  readonly store: RouteStore
  /** The control plane's own origin: `http://localhost:8787`. */
  readonly origin: string
}

/** A control plane with a login of its own, and the bridge to the hostnames of projects. */
export const controlPlane = ({ access, grammar, store, origin }: ControlPlaneOptions) => {
  // One session for each user, as long as the process lives.
  const sessions = new Map<string, string>(Object.keys(users).map((name) => [crypto.randomUUID(), name]))

  const bridge = signInHandler(access, {
    grammar,
    store,
    getUser: ({ headers }) => {
      const id = sessions.get(/(?:^|; )session=([\w-]+)/.exec(headers.get("cookie") ?? "")?.[1] ?? "")
      return id === undefined ? undefined : { id }
    },
    loginUrl: "/login",
    // These two are for localhost; a platform has neither.
    scheme: "http",
    publicPorts: [Number(new URL(origin).port)],
  })

  const login = async (request: Request): Promise<Response> => {
    const form = new URLSearchParams(await request.text())
    const session = [...sessions].find(([, name]) => name === form.get("name") && name === form.get("password"))
    if (session === undefined) return loginPage("Wrong name or password.", 403)
    // Only to a path of this origin: whoever wrote the link to the login also wrote this parameter.
    const to = new URL(new URL(request.url).searchParams.get("redirectUrl") ?? "/", origin)
    const cookie = `session=${session[0]}; Path=/; HttpOnly; SameSite=Lax`
    return new Response(null, {
      status: 303,
      headers: { location: to.origin === origin ? to.href : "/", "set-cookie": cookie },
    })
  }

  return async (request: Request): Promise<Response> => {
    const bridged = await bridge(request)
    if (bridged !== undefined) return bridged
    if (new URL(request.url).pathname !== "/login") return new Response("the control plane")
    return request.method === "POST" ? login(request) : loginPage("")
  }
}

const loginPage = (problem: string, status = 200): Response =>
  new Response(
    `<!doctype html><html lang="en"><meta charset="utf-8"><title>Sign in</title><form method="post">
<label>Name <input name="name" required></label> <label>Password <input name="password" type="password" required></label>
<button>Sign in</button> <output>${problem}</output></form>`,
    { status, headers: { "content-type": "text/html; charset=utf-8", "referrer-policy": "no-referrer" } },
  )
