/** The router of these tests, the same under every runtime. */
import { defineGrammar } from "@project-ingress/hostname"
import type { SigningKey } from "@project-ingress/forward"
import { local } from "@project-ingress/providers/local"
import { AccessDenied } from "../../src/router.ts"
import type { Policy, RouterOptions } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

/** What the starter says. */
export interface Setup {
  readonly machine: string
  readonly port: number
  readonly signingKey: SigningKey
  /** Options of `serveBun`, `serveDeno`. */
  readonly host?: { readonly maxMessageBytes?: number; readonly bounds?: object; readonly limits?: object }
}

export const setup = JSON.parse(process.env["SETUP"] ?? "{}") as Setup

/** Refuses by the path, and by a field of the handshake; lets somebody in for a second. */
const policy: Policy = {
  name: "guard",
  onRequest: ({ path, header, upgrade }) =>
    path.includes("deny") || (upgrade && header("sec-websocket-protocol") === "forbidden")
      ? { deny: new AccessDenied() }
      : path.includes("expires")
        ? { visitor: { subject: "anna", by: "test", id: "s-anna", expiresAt: Date.now() + 1_000 } }
        : undefined,
}

export const optionsFor = ({ machine, port, signingKey }: Setup): RouterOptions => ({
  grammar: defineGrammar({ domains: ["iterate.app"] }),
  store: memoryStore({ "p:misha": { machine: { id: machine, type: "local", externalId: "dev", metadata: { port } } } }),
  providers: [local()],
  signingKey,
  policies: [policy],
})

export const options: RouterOptions = setup.port === undefined ? (undefined as never) : optionsFor(setup)
