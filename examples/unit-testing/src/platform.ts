import { defineGrammar } from "@project-ingress/hostname"
import { createRouter, LoginRequired } from "@project-ingress/router"
import type { Policy, Router, RouterOptions } from "@project-ingress/router"

/** What a test replaces; everything else is the platform's own routing. */
export type Surroundings = Pick<RouterOptions, "store" | "providers" | "signingKey" | "unprovenMachines" | "transport">

const membersOnly: Policy = {
  name: "members only",
  onRoute: ({ header }, { key }) =>
    header("cookie")?.includes("session=") === true || key === "p:demo"
      ? undefined
      : { deny: new LoginRequired({ location: "https://iterate.app/login" }) },
}

export const platform = (surroundings: Surroundings): Router =>
  createRouter({
    grammar: defineGrammar({ domains: ["iterate.app"], services: { opencode: 4096 } }),
    policies: [membersOnly],
    ...surroundings,
  })
