/** The domain of all tenants. */
export const DOMAIN = "iterate.app"

/**
 * What a tenant is up to: `honest` has an app that responds as asked; a `hostile-app` is a program behind the machine's own proxy;
 * a `hostile-root` is a program in that proxy's place, as root in the machine can put it there.
 */
export type Role = "honest" | "hostile-app" | "hostile-root"

/**
 * How requests come in: to the router's own sockets by HTTP/1.1 or by HTTP/2 over TLS, or to a server of node:http that has an app of
 * its own and in which the router is mounted.
 */
export type WayIn = "sockets" | "http2" | "mount"

export const waysIn: readonly WayIn[] = ["sockets", "http2", "mount"]

/** A project with one machine. */
export interface Tenant {
  readonly index: number
  /** The project's slug. */
  readonly name: string
  readonly machine: string
  readonly role: Role
  /** The loopback address that the machine's apps listen on. Linux has all of 127.0.0.0/8. */
  readonly loopback: string
  /** Of the app of the server that the router is mounted in, which has no machine. Absent for a tenant under {@link DOMAIN}. */
  readonly hostname?: string
}

/** Of eight tenants in a row, by turns. */
const ROLES: readonly Role[] = [
  "honest",
  "hostile-app",
  "honest",
  "hostile-root",
  "honest",
  "honest",
  "honest",
  "honest",
]

/** So many tenants. Of eight, two are hostile, one of each kind, unless all are to be `honest`. */
export const tenantsOf = (count: number, honest: boolean): readonly Tenant[] =>
  Array.from({ length: count }, (_, index) => ({
    index,
    name: `tenant-${index}`,
    machine: `mach_${index}`,
    role: honest ? "honest" : ROLES[index % ROLES.length]!,
    loopback: `127.77.${Math.floor(index / 250)}.${(index % 250) + 1}`,
  }))

/** One more honest tenant: the server's own app, which shares every connection with the router's tenants. */
export const serversOwn = (index: number): Tenant => ({
  index,
  name: `tenant-${index}`,
  machine: "",
  role: "honest",
  loopback: "127.0.0.1",
  hostname: "app.example.com",
})
