import { BlockList, isIP } from "node:net"
import type { VerificationKey } from "@project-ingress/forward"
import { accept, checkOptions } from "@project-ingress/forward/internal"
import { verificationKeyProblem } from "../keys.ts"
import { isLoopback } from "../loopback.ts"
import type { MachineProxy } from "../machine-proxy.ts"
import type { RelayEvent } from "./events.ts"

/** What {@link connectRelay} takes. */
export interface RelayOptions {
  /**
   * The relay's URL, to which the machine's id is added as the last segment of the path: `wss://relay.example.com`. `ws:` is for
   * loopback and private addresses only, where the Worker runs on this host.
   */
  readonly url: string
  /** The platform's id of this machine, as for `createMachineProxy`. */
  readonly machine: string
  /**
   * The keys of this machine, as for `createMachineProxy`, at least one of them with its own secret (`machineKey`): it proves with
   * that which machine it is. A function is called for each attempt.
   */
  readonly keys: readonly VerificationKey[] | (() => readonly VerificationKey[])
  /** What takes the requests: each is a connection of its own. */
  readonly proxy: Pick<MachineProxy, "connection">
  /** Called for every change of the connection. What it throws is ignored. */
  readonly onEvent?: (event: RelayEvent) => void
  /** Time between two signs of life, in ms. Without a response to one within a third of it the connection is made again. 20 000. */
  readonly heartbeatMs?: number
  /** The shortest pause before another attempt, in ms. It doubles up to `maxRetryMs`, and half of it is random. 250. */
  readonly minRetryMs?: number
  /** The longest pause, in ms. 30 000. */
  readonly maxRetryMs?: number
}

/**
 * Checks options that came from JavaScript as much as from TypeScript, and gives the relay's URL.
 *
 * @throws {TypeError} naming the option and what it accepts, never a key
 */
export const checkRelayOptions = (options: RelayOptions): URL => {
  checkOptions(
    "connectRelay",
    options,
    {
      url: (value) => (relayUrl(value) === undefined ? RELAY_URL : undefined),
      machine: (value) => (typeof value === "string" && /^[!-~]{1,255}$/.test(value) ? undefined : MACHINE),
      keys: (value) => (typeof value === "function" || Array.isArray(value) ? undefined : KEYS),
      proxy: accept.object,
      onEvent: accept.function,
      heartbeatMs: accept.number(10, 3_600_000),
      minRetryMs: accept.number(1, 3_600_000),
      maxRetryMs: accept.number(1, 3_600_000),
    },
    { required: ["url", "machine", "keys", "proxy"] },
  )
  if (typeof options.proxy.connection !== "function") {
    throw new TypeError("connectRelay: proxy must be what createMachineProxy gives")
  }
  const { keys } = options
  const list = typeof keys === "function" ? keys() : keys
  const problem = relayKeysProblem(list)
  if (problem !== undefined) throw new TypeError(`connectRelay: ${problem}`)
  return relayUrl(options.url)!
}

/** What is wrong with keys by which a machine is to prove who it is to a relay. */
export const relayKeysProblem = (keys: readonly VerificationKey[] | "insecure"): string | undefined => {
  if (keys === "insecure") return "a relay needs a machine with keys: without any it can prove nothing"
  const problem = verificationKeyProblem(keys, (index) => `keys[${index}]`)
  if (problem !== undefined) return problem
  return keys.some(provesMachine)
    ? undefined
    : "keys must have one of the machine's own, of machineKey or the command keys --machine: a relay asks for that proof"
}

/** Whether a machine can prove with this key which one it is. */
export const provesMachine = (key: VerificationKey): boolean => key.kty === "oct" || key.machineSecret !== undefined

export const RELAY_URL = "a URL as wss://relay.example.com, or ws:// of a loopback or private address, without query"
const MACHINE = "1 to 255 visible ASCII characters"
const KEYS = "an array of keys, or a function that returns one"

/** Addresses that no packet of the internet leads to (RFC 1918, RFC 4193, RFC 3927). */
const privateAddresses = new BlockList()
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["169.254.0.0", 16],
] as const) {
  privateAddresses.addSubnet(network, prefix, "ipv4")
}
privateAddresses.addSubnet("fc00::", 7, "ipv6")

/** The URL of a relay; `undefined` for an invalid one. */
export const relayUrl = (value: unknown): URL | undefined => {
  if (typeof value !== "string" || !URL.canParse(value)) return undefined
  const url = new URL(value)
  if (url.username !== "" || url.password !== "" || url.search !== "" || url.hash !== "") return undefined
  if (url.protocol === "wss:") return url
  const host = url.hostname.replace(/^\[(.*)\]$/, "$1")
  const family = isIP(host)
  const near =
    host === "localhost" ||
    isLoopback(host) ||
    (family !== 0 && privateAddresses.check(host, family === 4 ? "ipv4" : "ipv6"))
  return url.protocol === "ws:" && near ? url : undefined
}
