/** Every adapter of this package, with its fixture on Node. */
import { it } from "vitest"
import type { Capabilities } from "../src/contract/machine-provider.ts"
import type { SuiteOptions } from "../src/testing.ts"
import { cloudflareContainerFixture } from "./conformance-cloudflare-container.ts"
import { cloudflareSandboxFixture } from "./conformance-cloudflare-sandbox.ts"
import { cloudflareTunnelFixture } from "./conformance-cloudflare-tunnel.ts"
import { daytonaFixture } from "./conformance-daytona.ts"
import { dockerFixture } from "./conformance-docker.ts"
import { e2bFixture } from "./conformance-e2b.ts"
import { localFixture, urlFixture } from "./conformance-fixtures.ts"
import { flyFixture } from "./conformance-fly.ts"
import type { AdapterWorker, Made, Proved } from "./conformance-remote.ts"
import { relayFixture } from "./conformance-relay.ts"
import { vercelSandboxFixture } from "./conformance-vercel-sandbox.ts"
import { spritesFixture } from "./conformance-sprites.ts"
import { engineMissing } from "./engine.ts"

export type Runtime = Capabilities["runtimes"][number]
type Skip = NonNullable<SuiteOptions["skip"]>

export interface Adapter {
  readonly fixture: (worker?: AdapterWorker) => Promise<Proved>
  /** Its Worker, if it has one of its own. */
  readonly worker?: "conformance-worker.ts" | "conformance-relay-worker.ts" | "conformance-sandbox-worker.ts"
  /** Why it cannot be tested on this machine. */
  readonly missing?: () => Promise<string | undefined>
  /** Takes long, so that its laws run only by `pnpm test:all`. */
  readonly slow?: true
  /** Its fixture also runs on Bun and Deno, with its machines. */
  readonly portable?: true
  /** Where it is tested: on every runtime that it declares. */
  readonly runtimes: readonly Runtime[]
  /** Laws that it does not keep, on any runtime or on one, with the reasons. */
  readonly skip?: Skip
  readonly skipIn?: Partial<Readonly<Record<Runtime, Skip>>>
}

const everywhere: readonly Runtime[] = ["node", "bun", "deno", "workerd"]
const refusalHidden = {
  workerd: {
    "states.stopped-fails":
      "workerd does not distinguish a refused connection from a broken one, and there is no status",
  },
} satisfies Adapter["skipIn"]
const stableEpoch = {
  "identity.epoch-changes": "an endpoint is made of the record alone; what a restart changes is behind the edge",
} satisfies Skip

type Name = Made["adapter"]

export const adapters: Readonly<Record<Name, Adapter>> = {
  local: { fixture: localFixture, portable: true, runtimes: everywhere, skipIn: refusalHidden },
  url: { fixture: urlFixture, runtimes: everywhere, skipIn: refusalHidden },
  docker: { fixture: dockerFixture, missing: engineMissing, slow: true, runtimes: ["node", "bun", "deno"] },
  fly: { fixture: flyFixture, runtimes: everywhere, skip: stableEpoch },
  sprites: {
    fixture: spritesFixture,
    runtimes: everywhere,
    skip: {
      "identity.epoch-changes": "the epoch is the Sprite's id; what a restart changes is behind the edge",
      "platform.port-closed": "the edge holds a request until something listens on port 8080",
    },
  },
  daytona: { fixture: daytonaFixture, runtimes: everywhere },
  e2b: {
    fixture: e2bFixture,
    runtimes: everywhere,
    skip: {
      "states.stopped": "a machine is paused or gone for good",
      "states.stopped-fails": "a machine is paused or gone for good",
      "states.starting": "the API has no such state: it responds when a machine has been resumed",
    },
  },
  "vercel-sandbox": {
    fixture: vercelSandboxFixture,
    runtimes: everywhere,
    skip: {
      "states.suspended": "a machine is stopped and never suspended",
      "states.suspended-fails": "a machine is stopped and never suspended",
      "platform.rotate": "the edge takes no credentials",
    },
  },
  "cloudflare-container": { fixture: cloudflareContainerFixture, runtimes: ["workerd"], skip: stableEpoch },
  "cloudflare-sandbox": {
    fixture: cloudflareSandboxFixture,
    worker: "conformance-sandbox-worker.ts",
    runtimes: ["workerd"],
    skip: {
      ...stableEpoch,
      "abort.cancel":
        "the class pumps bodies itself, and does not see that a client left one on which nothing is written",
    },
  },
  "cloudflare-tunnel": {
    fixture: cloudflareTunnelFixture,
    runtimes: everywhere,
    skip: {
      ...stableEpoch,
      "platform.port-closed": "the edge's 502 may also be its own failure, and there is no status",
    },
  },
  relay: {
    fixture: relayFixture,
    worker: "conformance-relay-worker.ts",
    runtimes: ["workerd"],
    skip: stableEpoch,
  },
}

/** Laws that a runtime's own `fetch` makes the fetcher break, with any provider. */
const deviations: Readonly<Record<Runtime, Skip>> = {
  node: {},
  bun: { "http.path-slashes": "Bun's fetch drops the first of two slashes at the beginning of a path" },
  deno: { "http.gzip": "Deno's fetch decodes bodies, and the fetcher removes content-encoding" },
  workerd: { "http.gzip": "workerd decodes a body when a Worker reads it; passed on unread it stays as it is" },
}

/** The laws that an adapter is not tested with on a runtime, with the reasons. */
export const skipOf = ({ skip, skipIn }: Adapter, runtime: Runtime): Skip => ({
  ...deviations[runtime],
  ...skip,
  ...skipIn?.[runtime],
})

/**
 * What runs at the same time: a lane with an engine waits most of the time, and the other one uses that time. More lanes would
 * be too much for two cores.
 */
export const lanes: readonly (readonly [where: string, names: readonly Name[]])[] = [
  ["machines in containers", ["docker"]],
  ["machines in this process", (Object.keys(adapters) as Name[]).filter((name) => name !== "docker")],
]

/** Registers one skipped test in place of all the tests of a group. */
export const leaveOut = (name: string, reason: string): void => {
  // oxlint-disable-next-line vitest/expect-expect, vitest/valid-title -- a title for each group, and nothing to check
  it(name, (ctx) => ctx.skip(reason))
}
