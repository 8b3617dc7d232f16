/**
 * What the suite is given in another process: an adapter made of JSON, and a fixture whose data is JSON and whose hooks are
 * behind HTTP. Runs in every runtime.
 */
import type { EdDsaSigningKey } from "@project-ingress/forward"
import { cloudflareContainer } from "../src/adapters/cloudflare/container.ts"
import type { ContainerNamespace } from "../src/adapters/cloudflare/container.ts"
import { cloudflareSandbox } from "../src/adapters/cloudflare/sandbox.ts"
import { cloudflareTunnel } from "../src/adapters/cloudflare/tunnel.ts"
import { daytona } from "../src/adapters/daytona/daytona.ts"
import { docker } from "../src/adapters/docker/docker.ts"
import { e2b } from "../src/adapters/e2b/e2b.ts"
import { sprites } from "../src/adapters/fly/sprites.ts"
import { local } from "../src/adapters/local.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import type { Fixture, Undo } from "../src/testing.ts"
import { relay } from "../src/adapters/relay/relay.ts"
import type { RelayNamespace } from "../src/adapters/relay/relay.ts"
import { url } from "../src/adapters/url.ts"
import { vercelSandbox } from "../src/adapters/vercel-sandbox/vercel-sandbox.ts"
import { throughEdge } from "../src/testing.ts"
import { at } from "./at.ts"
import { flyThrough } from "./fly-through.ts"

/** What an adapter is made of, as data. */
export type Made =
  | { readonly adapter: "local" }
  | { readonly adapter: "url"; readonly headers: Readonly<Record<string, string>> }
  | { readonly adapter: "docker"; readonly host: string }
  | { readonly adapter: "fly"; readonly token: string; readonly apiBase: string; readonly edgeOrigin: string }
  | { readonly adapter: "daytona"; readonly apiKey: string; readonly apiBase: string }
  | { readonly adapter: "e2b"; readonly apiKey: string; readonly apiBase: string; readonly edge: string }
  | {
      readonly adapter: "vercel-sandbox"
      readonly token: string
      readonly teamId: string
      readonly projectId: string
      readonly startCommand: readonly string[]
      readonly apiBase: string
      readonly edge: string
    }
  | { readonly adapter: "sprites"; readonly token: string; readonly urlToken: string; readonly apiBase: string }
  | { readonly adapter: "cloudflare-container" }
  | { readonly adapter: "cloudflare-sandbox" }
  | {
      readonly adapter: "cloudflare-tunnel"
      readonly access: { readonly clientId: string; readonly clientSecret: string }
      readonly places: Readonly<Record<string, string>>
    }
  | { readonly adapter: "relay" }

/** The Worker that an adapter is tested in, and the key that it trusts. */
export interface AdapterWorker {
  readonly url: URL
  readonly signing: EdDsaSigningKey
}

/** Set by the Worker, which alone has objects to bind. */
export const bound: { containers?: ContainerNamespace; relay?: RelayNamespace } = {}

const makers: { readonly [A in Made["adapter"]]: (made: Extract<Made, { readonly adapter: A }>) => MachineProvider } = {
  local: () => local(),
  url: ({ headers }) => url({ headers, allowCidrs: ["127.0.0.0/8"] }),
  docker: ({ host }) => docker({ host, env: {} }),
  fly: ({ token, ...cloud }) => flyThrough(cloud, token),
  daytona: ({ apiKey, apiBase }) => daytona({ apiKey, apiBase }),
  e2b: ({ apiKey, apiBase, edge }) => throughEdge(e2b({ apiKey, apiBase }), edge),
  "vercel-sandbox": ({ token, teamId, projectId, startCommand, apiBase, edge }) =>
    throughEdge(vercelSandbox({ token, teamId, projectId, startCommand, apiBase }), edge),
  sprites: ({ token, urlToken, apiBase }) => sprites({ token, urlToken, apiBase }),
  "cloudflare-container": () => cloudflareContainer({ getByName: (name) => bound.containers!.getByName(name) }),
  "cloudflare-sandbox": () => cloudflareSandbox({ getByName: (id) => bound.containers!.getByName(id) }),
  "cloudflare-tunnel": ({ access, places }) => at(cloudflareTunnel({ access }), places),
  relay: () => relay({ getByName: (name) => bound.relay!.getByName(name) }),
}

export const provider = (made: Made): MachineProvider => (makers[made.adapter] as (made: Made) => MachineProvider)(made)

/** A fixture whose provider can be made anew elsewhere. */
export interface Proved extends Fixture {
  readonly made: Made
  readonly close: () => Promise<unknown>
}

export const hookNames = [
  "stop",
  "suspend",
  "restart",
  "remove",
  "starting",
  "swap",
  "hang",
  "rateLimit",
  "rotate",
  "unauthorized",
  "unavailable",
  "portClosed",
] as const
export type HookName = (typeof hookNames)[number]

/** What a hook may change. */
interface Changing {
  readonly other?: Fixture["other"] | undefined
  readonly secrets?: Fixture["secrets"] | undefined
}

export interface Remote
  extends Pick<Fixture, "machine" | "port" | "signingKey" | "missing" | "wrong">, Changing, Pick<Proved, "made"> {
  /** Where the hooks are. */
  readonly origin: string
  readonly hooks: readonly HookName[]
}
/** What calling a hook brings. */
export interface HookAnswer extends Changing {
  readonly machine: Machine
  /** What `/undo/…` is called with. */
  readonly undo?: number | undefined
}

export const remoteFixture = (remote: Remote): Fixture => {
  const { origin, hooks, made, ...data } = remote
  let changing: Changing = data
  const call = async (path: string): Promise<HookAnswer> => {
    const answer = await fetch(`${origin}/${path}`)
    if (!answer.ok) throw new Error(`the hook ${path}: ${await answer.text()}`)
    const said = (await answer.json()) as HookAnswer
    changing = said
    return said
  }
  const hook = (name: HookName) => async (): Promise<Machine | Undo> => {
    const { machine, undo } = await call(name)
    return undo === undefined ? machine : () => call(`undo/${undo}`)
  }
  const fixture = {
    ...data,
    provider: provider(made),
    ...Object.fromEntries(hooks.map((name) => [name, hook(name)])),
  }
  for (const name of ["other", "secrets"] as const) {
    if (data[name] !== undefined) Object.defineProperty(fixture, name, { get: () => changing[name] })
  }
  return fixture as Fixture
}
