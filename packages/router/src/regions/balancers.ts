import type { SigningKey } from "@project-ingress/forward"
import type { Endpoint } from "@project-ingress/providers"
import {
  A_PUBLIC_KEY_PIN,
  accept,
  checkOptions,
  isPublicKeyPin,
  kindOf,
  validateSigningKey,
} from "@project-ingress/forward/internal"

/** Where a region's routers are reached. */
export interface RegionBalancer {
  /**
   * `https://fra.ingress.example.com` or `http://10.0.0.5:8080`: an origin. Over https its certificate is always verified, by its
   * name and up to a known authority, or by `ca` or `pin`. Over http whoever is on the way reads and changes everything.
   */
  readonly url: string
  /** Certificates in PEM that the balancer's own must lead to, in place of the runtime's. On Node; elsewhere such a region is unreachable. */
  readonly ca?: string
  /** The pin of the balancer's public key, as `publicKeyPin` gives it, in place of its certificate. On Node, as `ca`. */
  readonly pin?: string
}

/** What {@link regions} takes. */
export interface RegionsOptions {
  /** The region of this router, as records name it: `fra`. 1 to 64 characters. */
  readonly self: string
  /** The load balancers of the other regions, by name. One of this region may be among them and is not used. */
  readonly balancers: Readonly<Record<string, string | RegionBalancer>>
  /**
   * Sign and verify hops: the first one signs, each verifies, so that they can rotate. The same in all regions, known to routers only.
   * At most 4. Default: the router's `signingKey`, which must then be a pair (EdDSA), because machines hold a shared secret, too.
   */
  readonly keys?: readonly SigningKey[]
}

/** A balancer by which requests are sent. */
export interface KnownBalancer {
  readonly endpoint: Endpoint
  readonly ca: string | undefined
}

/** The balancers, by region. Throws a `TypeError` that names the option that is invalid, and never a key. */
export const checkedRegions = (options: RegionsOptions): ReadonlyMap<string, KnownBalancer> => {
  checkOptions(
    "regions",
    options,
    { self: isRegion, balancers: accept.object, keys: accept.array() },
    { required: ["self", "balancers"] },
  )
  const { balancers, keys } = options
  if (keys !== undefined && (keys.length < 1 || keys.length > 4))
    throw new TypeError("regions: keys must be 1 to 4 keys")
  keys?.forEach((key, at) => {
    const problem = validateSigningKey(key)
    if (problem !== undefined) throw new TypeError(`regions: keys[${at}]: ${problem}`)
  })
  return new Map(Object.entries(balancers).map(([region, given]) => [region, checkedBalancer(region, given)]))
}

const checkedBalancer = (region: string, given: string | RegionBalancer): KnownBalancer => {
  if (isRegion(region) !== undefined) throw new TypeError(`regions: balancers must be by ${isRegion(region)}`)
  const at = `balancers.${region}`
  if (typeof given !== "string") checkOptions("regions", given, balancerChecks, { required: ["url"], at })
  const { url, ca, pin }: RegionBalancer = typeof given === "string" ? { url: given } : given
  const misfit = isOrigin(url)
  if (misfit !== undefined) throw new TypeError(`regions: ${at} must be ${misfit}, got ${kindOf(url)}`)
  const { origin, protocol } = new URL(url)
  if (protocol === "http:" && (ca !== undefined || pin !== undefined))
    throw new TypeError(`regions: ${at}.url must be https:// beside ca and pin`)
  return { endpoint: { origin, epoch: "", ttlMs: 0, ...(pin === undefined ? {} : { pin }) }, ca }
}

const isRegion = (value: unknown): string | undefined =>
  typeof value === "string" && /^[^\p{Cc}\p{Cs}]{1,64}$/u.test(value)
    ? undefined
    : "a region's name of 1 to 64 characters"

// Before any parser sees it: a path, credentials or a `\` would send requests elsewhere.
const isOrigin = (value: unknown): string | undefined =>
  typeof value === "string" && /^https?:\/\/[^/\\?#@\s]+\/?$/i.test(value) && URL.canParse(value)
    ? undefined
    : "http:// or https:// with a host and perhaps a port, and nothing else"

const balancerChecks = {
  url: isOrigin,
  ca: (value: unknown) =>
    typeof value === "string" && value.includes("-----BEGIN CERTIFICATE-----") ? undefined : "certificates in PEM",
  pin: (value: unknown) => (isPublicKeyPin(value) ? undefined : A_PUBLIC_KEY_PIN),
}
