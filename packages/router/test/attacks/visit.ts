/** Requests to a router with policies, over machines that are fakes. */
import type { Policy, RouterOptions, Visitor } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"
import type { RouteInput } from "../../src/stores/memory.ts"
import { fake, machine, setup } from "../fakes.ts"
import type { Setup } from "../fakes.ts"

/** A visitor, proven by the field `x-visitor`, which holds its name. */
export const named = (more: Partial<Visitor> = {}): Policy => ({
  name: "named",
  onRoute: ({ header }) => {
    const subject = header("x-visitor")
    return subject === undefined ? undefined : { visitor: { subject, by: "session", id: `s_${subject}`, ...more } }
  },
})

export const toMachine = (more: Partial<Extract<RouteInput, { readonly kind?: "machine" }>> = {}): RouteInput => ({
  machine: machine("mach_1"),
  owner: "org_1",
  externalId: "prj_1",
  ...more,
})

export interface Visited {
  readonly status: number
  /** Of a response that the router generated. */
  readonly code: string | null
  readonly location: string | null
  readonly response: Response
  readonly text: string
}

export interface Visits extends Setup {
  readonly visit: (url: string, init?: RequestInit) => Promise<Visited>
  /** How often a machine's address was asked for: nothing wakes and nothing is sent without. */
  readonly resolved: () => number
}

/** A router whose `misha` is what `routes` say, or private and attached to `mach_1`. */
export const visits = (
  policies: NonNullable<RouterOptions["policies"]>,
  routes: Readonly<Record<string, RouteInput>> = { "p:misha": toMachine() },
  more: Parameters<typeof setup>[0] = {},
): Visits => {
  let resolved = 0
  const plain = fake()
  const counted = fake({ resolve: (...args) => ((resolved += 1), plain.resolve(...args)) })
  const store = memoryStore(routes)
  const made = setup({ policies, store, providers: [counted], ...more })
  return {
    ...made,
    routes: store,
    resolved: () => resolved,
    visit: async (url, init = {}) => {
      const response = (await made.router.fetch(new Request(url, { redirect: "manual", ...init })))!
      const { status, headers } = response
      return {
        status,
        code: headers.get("x-iterate-proxy-error"),
        location: headers.get("location"),
        response,
        text: await response.text(),
      }
    },
  }
}
