/** Every adapter of this package, and what the suite is given for it on Node. */
import type { Capabilities } from "../src/contract/machine-provider.ts"
import type { SuiteOptions } from "../src/testing.ts"
import { cloudflareContainerFixture } from "./conformance-cloudflare-container.ts"
import { cloudflareTunnelFixture } from "./conformance-cloudflare-tunnel.ts"
import { daytonaFixture } from "./conformance-daytona.ts"
import { dockerFixture } from "./conformance-docker.ts"
import { localFixture, urlFixture } from "./conformance-fixtures.ts"
import { flyFixture } from "./conformance-fly.ts"
import type { Made, Proved } from "./conformance-remote.ts"
import { engineMissing } from "./engine.ts"

export type Runtime = Capabilities["runtimes"][number]
type Skip = NonNullable<SuiteOptions["skip"]>

export interface Adapter {
  readonly fixture: () => Promise<Proved>
  /** Why this machine cannot prove it. */
  readonly missing?: () => Promise<string | undefined>
  /** Its fixture works on Bun and Deno as well, machines and all. */
  readonly portable?: true
  /** Where it is proved: everywhere it says that it runs. */
  readonly runtimes: readonly Runtime[]
  /** What it does otherwise than others. */
  readonly skip?: Skip
  readonly skipIn?: Partial<Readonly<Record<Runtime, Skip>>>
}

const everywhere: readonly Runtime[] = ["node", "bun", "deno", "workerd"]
const unseen = {
  workerd: {
    "states.stopped-fails": "workerd does not tell a refused connection from a broken one, and nobody knows the state",
  },
} satisfies Adapter["skipIn"]
const steady = {
  "identity.epoch-changes": "an endpoint is made of the record alone, and what a restart changes is behind the edge",
} satisfies Skip

type Name = Made["adapter"]

export const adapters: Readonly<Record<Name, Adapter>> = {
  local: { fixture: localFixture, portable: true, runtimes: everywhere, skipIn: unseen },
  url: { fixture: urlFixture, runtimes: everywhere, skipIn: unseen },
  docker: { fixture: dockerFixture, missing: engineMissing, runtimes: ["node", "bun", "deno"] },
  fly: { fixture: flyFixture, runtimes: everywhere, skip: steady },
  daytona: { fixture: daytonaFixture, runtimes: everywhere },
  "cloudflare-container": { fixture: cloudflareContainerFixture, runtimes: ["workerd"], skip: steady },
  "cloudflare-tunnel": {
    fixture: cloudflareTunnelFixture,
    runtimes: everywhere,
    skip: {
      ...steady,
      "platform.port-closed": "the edge's 502 may as well be its own failure, and there is no state to ask for",
    },
  },
}

/** What a runtime's own `fetch` keeps the fetcher from, whatever the provider. */
const deviations: Readonly<Record<Runtime, Skip>> = {
  node: {},
  bun: { "http.path-slashes": "Bun's fetch drops the first of two slashes at the beginning of a path" },
  deno: { "http.gzip": "Deno's fetch decodes what it is given, and the fetcher says so" },
  workerd: { "http.gzip": "workerd decodes a body when a Worker reads it; passed on unread it stays as it is" },
}

/** The laws that an adapter is not tried with, and why. */
export const skipOf = ({ skip, skipIn }: Adapter, runtime: Runtime): Skip => ({
  ...deviations[runtime],
  ...skip,
  ...skipIn?.[runtime],
})

/**
 * What runs beside each other: an engine is waited for most of the time, and the others fill it. More at once is more than
 * two cores do within the laws' limits of time.
 */
export const lanes: readonly (readonly [where: string, names: readonly Name[]])[] = [
  ["machines in containers", ["docker"]],
  ["machines in this process", (Object.keys(adapters) as Name[]).filter((name) => name !== "docker")],
]
