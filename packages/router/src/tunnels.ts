/**
 * One named tunnel of Cloudflare for each machine of a registry: made when the machine is created, removed with it. For control
 * planes.
 */
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { createTunnel, deleteTunnel, listTunnels } from "@project-ingress/providers/cloudflare-tunnel"
import type { TunnelApiOptions } from "@project-ingress/providers/cloudflare-tunnel"
import type { NewMachine, RegisteredMachine, RouteRegistry } from "./stores/route-registry.ts"

/** What {@link tunnels} takes beside the registry. */
export interface TunnelsOptions {
  /** How Cloudflare's API is reached: token, account and zone. */
  readonly api: TunnelApiOptions
  /** The hostnames of tunnels are one label below it, lower case: `machines.example.com`. Its wildcard needs a certificate. */
  readonly domain: string
  /** What the names of tunnels begin with, 1 to 32 letters, digits and hyphens: those of this control plane in the account, of which no other one's may begin with it. Default `ingress-`. */
  readonly prefix?: string
  /** What `cloudflared` connects to inside the machine. Default `http://localhost:8080`, the machine proxy. */
  readonly service?: string
}

/** The tunnel of a machine. */
export interface MachineTunnel {
  readonly hostname: string
  /** For the machine alone, as `TUNNEL_TOKEN`: whoever has it can act as the machine. Belongs into no record. */
  readonly token: string
}

/** A tunnel without a machine. */
export interface OrphanedTunnel {
  readonly id: string
  /** The id of the machine that it was made for. */
  readonly machine: string
  /** In ms since 1970. */
  readonly createdAt: number
}

/** Machines and their tunnels. Everything rejects with a `TunnelError` of the providers, a `RegistryError`, or the signal's reason. */
export interface Tunnels {
  /**
   * Makes a tunnel, has `make` create the machine with its token, and registers the machine; `make` gives the machine without the tunnel
   * in its metadata, as `putMachine` takes it. If one of these fails, the tunnel is removed and nothing is registered. A call whose
   * outcome was lost can be made again: the same tunnel is then used.
   */
  readonly createMachine: (
    id: string,
    make: (tunnel: MachineTunnel) => Omit<NewMachine, "id"> | Promise<Omit<NewMachine, "id">>,
    options?: SignalOption,
  ) => Promise<RegisteredMachine>
  /** Forgets a machine, then removes its tunnel. A machine that is not registered any more is no failure: its tunnel is removed. */
  readonly removeMachine: (id: string, options?: SignalOption) => Promise<void>
  /** The tunnel of a machine, for one that is made again from the same record. Made if there is none. */
  readonly tunnelOf: (id: string, options?: SignalOption) => Promise<MachineTunnel>
  /** Tunnels of this control plane older than ten minutes, whose machines are not registered: a process ended between two steps. */
  readonly orphans: (options?: SignalOption) => Promise<readonly OrphanedTunnel[]>
  /** Removes them, and gives those that were removed. `onProgress` is called after each. */
  readonly removeOrphans: (
    options?: SignalOption & { readonly onProgress?: (removed: number, all: number) => void },
  ) => Promise<readonly OrphanedTunnel[]>
}

/** What every call may take. */
export interface SignalOption {
  readonly signal?: AbortSignal
}

/** How long a machine may be between its tunnel and its registration, in ms: a vendor takes a while to make one. */
const YOUNG_MS = 600_000

/**
 * Tunnels for the machines of a registry. A machine of the type `cloudflare-tunnel` gets `hostname` into its metadata, one of any other
 * type `tunnel: { hostname }`, which `viaTunnel` reads. An account has 1 000 tunnels by default; beyond, use the relay.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid; the message shows no secret
 *
 * @example
 * const machines = tunnels(registry, { api, domain: "machines.example.com" })
 * await machines.createMachine("mach_1", ({ token }) => startOnFly({ env: { TUNNEL_TOKEN: token } }))
 */
export const tunnels = (
  registry: Pick<RouteRegistry, "putMachine" | "removeMachine" | "readMachine">,
  options: TunnelsOptions,
): Tunnels => {
  checkOptions("tunnels", options, checks, { required: ["api", "domain"] })
  const { api, domain, prefix = "ingress-", service } = options

  const requestFor = (id: string, { signal }: SignalOption) => ({
    name: prefix + id,
    hostname: hostnameOf(id, domain),
    ...(service === undefined ? {} : { service }),
    ...(signal === undefined ? {} : { signal }),
    adopt: true,
  })

  const isRegistered = async (id: string): Promise<boolean> => {
    try {
      await registry.readMachine(id)
      return true
    } catch (cause) {
      if (isNotFound(cause)) return false
      throw cause
    }
  }

  const remove = (tunnel: string, machine: string, { signal }: SignalOption): Promise<void> =>
    deleteTunnel(api, {
      id: tunnel,
      hostname: hostnameOf(machine, domain),
      ...(signal === undefined ? {} : { signal }),
    })

  const orphans = async (request: SignalOption = {}): Promise<readonly OrphanedTunnel[]> => {
    const found: OrphanedTunnel[] = []
    for (const { id, name, createdAt } of await listTunnels(api, { prefix, ...request })) {
      const machine = name.slice(prefix.length)
      if (Date.now() - createdAt < YOUNG_MS || (await isRegistered(machine))) continue
      found.push({ id, machine, createdAt })
    }
    return found
  }

  return {
    createMachine: async (id, make, request = {}) => {
      const { hostname, name } = requestFor(id, request)
      const { id: tunnel, token } = await createTunnel(api, requestFor(id, request))
      try {
        const machine = await make({ hostname, token })
        const isTunnel = machine.type === "cloudflare-tunnel"
        const metadata = { ...machine.metadata, ...(isTunnel ? { hostname } : { tunnel: { hostname } }) }
        return await registry.putMachine({ ...machine, id, metadata })
      } catch (cause) {
        // A machine that was registered before, as by a call whose outcome was lost, keeps its tunnel.
        if (await isRegistered(id).catch(() => true)) throw cause
        try {
          await remove(tunnel, id, {})
        } catch (left) {
          throw new AggregateError([cause, left], `tunnel ${name} could not be removed: see orphans`, { cause: left })
        }
        throw cause
      }
    },
    removeMachine: async (id, request = {}) => {
      try {
        await registry.removeMachine(id)
      } catch (cause) {
        if (!isNotFound(cause)) throw cause
      }
      const own = await listTunnels(api, { prefix: prefix + id, ...request })
      for (const each of own) if (each.name === prefix + id) await remove(each.id, id, request)
    },
    tunnelOf: async (id, request = {}) => {
      const { token } = await createTunnel(api, requestFor(id, request))
      return { hostname: hostnameOf(id, domain), token }
    },
    orphans,
    removeOrphans: async ({ onProgress, ...request } = {}) => {
      const found = await orphans(request)
      for (const [at, { id, machine }] of found.entries()) {
        await remove(id, machine, request)
        onProgress?.(at + 1, found.length)
      }
      return found
    },
  }
}

/** `mach_1` is `mach-1` in DNS: no certificate covers an underscore. */
const hostnameOf = (machine: string, domain: string): string =>
  `${machine.toLowerCase().replaceAll("_", "-")}.${domain}`

const isNotFound = (cause: unknown): boolean =>
  typeof cause === "object" && cause !== null && "_tag" in cause && cause._tag === "NotFound"

const checks = {
  api: accept.object,
  domain: (value: unknown) =>
    typeof value === "string" &&
    /^(?=.{4,190}$)(?:[a-z\d](?:[a-z\d-]{0,61}[a-z\d])?\.)+[a-z][a-z\d-]*[a-z\d]$/.test(value)
      ? undefined
      : "a lower-case domain",
  prefix: (value: unknown) =>
    typeof value === "string" && /^[A-Za-z\d-]{1,32}$/.test(value) ? undefined : "1 to 32 letters, digits and hyphens",
  service: accept.string,
}
