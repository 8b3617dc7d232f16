/** Two projects behind tokens, links, embedding and visibility. */
import { defineAccess, accessTokens, createShareLink, createToken, embedding, shareLinks } from "../../src/access.ts"
import type { NewShareLink, NewToken } from "../../src/access.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import { visibility } from "../../src/policies.ts"
import type { Policy, PortSettings, RouterEvent, Visitor } from "../../src/router.ts"
import { hostnames, keys, machine, setup, stamped } from "../fakes.ts"
import type { Outgoing } from "../fakes.ts"

export const access = defineAccess({ keys: [keys.signing] })
export const day = 86_400_000

const identity = { externalId: "prj_misha", owner: "org_1", generation: 3 }
export const project = { key: "p:misha", ...identity } as const
export const banana = { key: "p:banana", externalId: "prj_banana", owner: "org_2" } as const

/** A token for port 8000 of project misha, unless said otherwise. */
export const token = (options: Partial<NewToken> = {}) =>
  createToken(access, { subject: "ci", project, port: 8000, expiresInMs: day, ...options })

/** A link to port 8000 of project misha, unless said otherwise. */
export const link = (options: Partial<NewShareLink> = {}) => {
  const hostname = "8000__misha.iterate.app"
  return createShareLink(access, { hostname, project, port: 8000, expiresInMs: day, ...options })
}

/** The grant in a link's fragment. */
export const grantOf = ({ url }: { readonly url: string }): string => new URL(url).hash.slice(1)

/** What a world may have beside its routes. */
export interface WorldOptions {
  readonly settings?: PortSettings
  /** Policies before tokens, and after all others. */
  readonly before?: readonly Policy[]
  readonly after?: readonly Policy[]
  /** What is done with all of them. */
  readonly all?: (policies: readonly Policy[]) => readonly Policy[]
  readonly tokens?: Parameters<typeof accessTokens>[1]
  readonly links?: Parameters<typeof shareLinks>[1]
  readonly answer?: (outgoing: Outgoing) => Response
}

/** A router over fakes, and a way to ask it. */
export const world = (options: WorldOptions = {}) => {
  const {
    before = [],
    after = [],
    all = (policies) => policies,
    tokens = {},
    links = {},
    answer = () => stamped(),
  } = options
  const settings = { visibility: "private", ...options.settings } as const
  const own = (id: string, of: object): RouteInput => ({ machine: machine(id), ...of, ...settings })
  const store = memoryStore({
    "p:misha": own("mach_1", identity),
    "m:mach_1": own("mach_1", identity),
    "d:www.example.com": own("mach_1", { ...identity, port: 8000 }),
    "p:banana": own("mach_2", { externalId: "prj_banana", owner: "org_2" }),
    "m:mach_2": own("mach_2", { externalId: "prj_banana", owner: "org_2" }),
  })
  const seen: (Visitor | undefined)[] = []
  const events: RouterEvent[] = []
  const look: Policy = { name: "look", onRoute: ({ visitor }) => void seen.push(visitor) }
  const { router, sent } = setup({
    store,
    answer,
    policies: all([
      ...before,
      accessTokens(access, tokens),
      shareLinks(access, links),
      look,
      embedding(),
      visibility({ grammar: hostnames }),
      ...after,
    ]),
    onEvent: (event) => void events.push(event),
  })
  /** The response to a request; the path is that of port 8000 of misha, unless a URL is given. */
  const ask = async (url: string, headers: HeadersInit = {}, init: RequestInit = {}): Promise<Response> => {
    const at = new URL(url, "https://8000__misha.iterate.app/")
    return (await router.fetch(new Request(at, { redirect: "manual", ...init, headers })))!
  }
  /** Posts a link's grant as its page does, and gives the response. */
  const redeem = (grant: string, host = "8000__misha.iterate.app", headers: Record<string, string> = {}) => {
    const fields = { origin: `https://${host}`, "x-ingress-link": grant, ...headers }
    return ask(`https://${host}/_/link`, fields, { method: "POST" })
  }
  /** The cookie of a link, as a browser sends it back. */
  const cookieOf = async (grant: string): Promise<string> =>
    (await redeem(grant)).headers.getSetCookie()[0]!.split(";")[0]!
  return { ask, redeem, cookieOf, store, sent, seen, events }
}
