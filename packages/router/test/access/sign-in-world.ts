import { defineGrammar } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { defineAccess, signIn, signInHandler } from "../../src/access.ts"
import type { Access, AccessOptions, SignIn, SignInHandlerOptions, SignInOptions, Visitor } from "../../src/access.ts"
import { visibility } from "../../src/policies.ts"
import type { RouterEvent } from "../../src/router.ts"
import type { MemoryStore } from "../../src/stores/memory.ts"
import { hostnames, keys, machine, setup, values } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"

/** What a browser sends with a navigation of a tab. */
export const navigation = { accept: "text/html", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document" }

interface WorldOptions extends Partial<Omit<SignInOptions, "grammar">> {
  readonly grammar?: Grammar
  readonly handler?: Partial<SignInHandlerOptions>
  readonly handlerAccess?: Access
  readonly accessOptions?: Partial<AccessOptions>
}

/** A router with private ports, a control plane, and whoever is signed in there. */
export interface World {
  readonly access: Access
  readonly routes: MemoryStore
  readonly people: SignIn
  readonly events: RouterEvent[]
  /** The visitors that came to the machine's policies, and the `Cookie` fields that it got. */
  readonly visitors: (Visitor | undefined)[]
  readonly cookiesSent: () => readonly (string | undefined)[]
  readonly sent: readonly Outgoing[]
  readonly ask: (url: string, init?: RequestInit) => Promise<Response>
}

export const world = (options: WorldOptions = {}): World => {
  const { grammar = hostnames, handler = {}, handlerAccess, accessOptions, ...rest } = options
  const access = defineAccess({ keys: [keys.signing], ...accessOptions })
  const people = signIn(access, { grammar, controlPlane: "https://iterate.com", ...rest })
  const visitors: (Visitor | undefined)[] = []
  const events: RouterEvent[] = []
  const { router, routes, sent } = setup({
    grammar,
    policies: [people.policy, visibility({ grammar, signIn: people }), ({ visitor }) => void visitors.push(visitor)],
    onEvent: (event) => events.push(event),
  })
  const attach = (key: "p:misha" | "p:eve" | "d:www.example.com", owner: string) =>
    routes.attach(key, { machine: machine(`mach_${owner}`), owner, externalId: `prj_${owner}`, visibility: "private" })
  attach("p:misha", "ann")
  attach("p:eve", "eve")
  attach("d:www.example.com", "ann")
  const bridge = signInHandler(handlerAccess ?? access, {
    grammar,
    // The browser's session with the control plane is the user's name.
    getUser: (request) => {
      const user = /session=(\w+)/.exec(request.headers.get("cookie") ?? "")?.[1]
      return user === undefined ? undefined : { id: user }
    },
    loginUrl: "/login",
    ...(handler.isOurs === undefined ? { store: routes } : {}),
    ...(rest.words === undefined ? {} : { words: rest.words }),
    ...handler,
  })
  const ask = async (url: string, init: RequestInit = {}): Promise<Response> => {
    const request = new Request(url, { redirect: "manual", ...init })
    const response = new URL(url).hostname === "iterate.com" ? await bridge(request) : await router.fetch(request)
    return response ?? new Response("not ours", { status: 404 })
  }
  const cookiesSent = () => sent.map(({ headers }) => values(headers, "cookie")[0])
  return { access, routes, people, events, visitors, cookiesSent, sent, ask }
}

/** The nested shape: `4096.misha.iterate.app`. */
export const nested = defineGrammar({ domains: ["iterate.app"], separator: "." })

/** The part of a browser that signing in depends on: its cookies, and that a tab follows redirects. */
export interface Browser {
  /** Opens a URL in a tab. Gives all responses, the last one first. */
  readonly open: (url: string, until?: (location: string) => boolean) => Promise<readonly Visit[]>
  readonly request: (url: string, init?: RequestInit) => Promise<Response>
  /** The `Cookie` field for a URL. */
  readonly cookies: (url: string) => string
  readonly set: (hostname: string, line: string) => void
}

interface Visit {
  readonly url: string
  readonly response: Response
}

export const browserOf = ({ ask }: Pick<World, "ask">): Browser => {
  const jar = new Map<string, { readonly domain: string; readonly below: boolean; readonly pair: string }>()
  const set = (hostname: string, line: string): void => {
    const [pair = "", ...attributes] = line.split("; ")
    const of = (name: string) => attributes.find((each) => each.startsWith(`${name}=`))?.slice(name.length + 1)
    const domain = of("Domain") ?? hostname
    if (domain !== hostname && !hostname.endsWith(`.${domain}`)) return
    const key = `${domain} ${pair.split("=", 1)[0]}`
    if (of("Max-Age") === "0") jar.delete(key)
    else jar.set(key, { domain, below: of("Domain") !== undefined, pair })
  }
  const cookies = (url: string): string => {
    const { hostname } = new URL(url)
    const sent = [...jar.values()].filter(
      ({ domain, below }) => domain === hostname || (below && hostname.endsWith(`.${domain}`)),
    )
    return sent.map(({ pair }) => pair).join("; ")
  }
  const request: Browser["request"] = async (url, init = {}) => {
    const cookie = cookies(url)
    const headers = { ...(cookie === "" ? {} : { cookie }), ...(init.headers as object) }
    const response = await ask(url, { ...init, headers })
    for (const line of response.headers.getSetCookie()) set(new URL(url).hostname, line)
    return response
  }
  const open: Browser["open"] = async (first, until = () => false) => {
    const visits: Visit[] = []
    for (let url = first; visits.length < 10;) {
      const response = await request(url, { headers: navigation })
      visits.unshift({ url, response })
      const location = response.headers.get("location")
      if (location === null) return visits
      url = new URL(location, url).href
      if (until(url)) return [{ url, response }, ...visits]
    }
    throw new Error(`redirects without an end: ${visits.map(({ url }) => url).join("\n")}`)
  }
  return { open, request, cookies, set }
}

/** A browser whose user is signed in to the control plane. */
export const signedIn = (at: Pick<World, "ask">, user: string): Browser => {
  const browser = browserOf(at)
  browser.set("iterate.com", `session=${user}`)
  return browser
}

/** The URL of the callback, at which a browser stops. */
export const isCallback = (url: string): boolean => /\/_\/(?:callback|exchange-token)\?/.test(url)
