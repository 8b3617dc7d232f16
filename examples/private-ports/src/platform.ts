import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar, format } from "@project-ingress/hostname"
import { createShareLink, createToken, defineAccess } from "@project-ingress/router/access"
import { memoryRegistry } from "@project-ingress/router/stores/memory"
import type { NewMachine } from "@project-ingress/router/stores/memory"
import { controlPlane, isMember } from "./control-plane.ts"
import { accessPolicies } from "./policies.ts"

const DAY = 86_400_000

/** Which host a platform has, and what its machines are. */
export interface PlatformOptions {
  readonly signingKey: SigningKey
  /** The control plane's origin: `http://localhost:8787`. Everything below its hostname is projects. */
  readonly origin: string
  readonly machine: Pick<NewMachine, "type" | "externalId" | "metadata">
}

/** Two projects: misha has ports 8000 and 5173, which are private, and 3000, which is public; eve is somebody else's. */
export const makePlatform = async ({ signingKey, origin, machine }: PlatformOptions) => {
  const { hostname: domain, port } = new URL(origin)
  // Ports of a project below one name, so that a session is for all of them.
  const grammar = defineGrammar({ domains: [domain], separator: "." })
  const registry = memoryRegistry({ grammar })
  for (const name of ["misha", "eve"]) {
    await registry.putMachine({ ...machine, id: `mach_${name}` })
    await registry.create({ name, externalId: `prj_${name}`, machine: `mach_${name}` })
  }
  // What is not said is private.
  const project = await registry.configure("misha", { ports: { 3000: { visibility: "public" } } })

  const access = defineAccess({ keys: [signingKey] })
  const hostnameOf = (slug: string, at: number): string => {
    const hostname = format(grammar, { kind: "project", slug, port: at })
    if (typeof hostname !== "string") throw new Error(hostname._tag)
    return hostname
  }
  const originOf = (slug: string, at: number) => `http://${hostnameOf(slug, at)}:${port}`
  const grant = { project: { ...project, key: "p:misha" }, port: 8000, expiresInMs: DAY } as const
  const { token } = await createToken(access, { ...grant, subject: "ci" })
  const { url: link } = await createShareLink(access, {
    ...grant,
    hostname: hostnameOf("misha", 8000),
    origin: originOf("misha", 8000),
    path: "/docs",
  })
  return {
    /** For `createRouter`, beside providers. */
    router: {
      grammar,
      store: registry,
      signingKey,
      policies: accessPolicies({ access, grammar, controlPlane: origin, isMember }),
    },
    controlPlane: controlPlane({ access, grammar, store: registry, origin }),
    /** `revoke("misha")` ends sessions, tokens and links. */
    registry,
    originOf,
    token,
    link,
  }
}

/** What {@link makePlatform} makes. */
export type Platform = Awaited<ReturnType<typeof makePlatform>>
