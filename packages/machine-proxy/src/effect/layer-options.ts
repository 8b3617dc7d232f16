import { accept, checkOptions, tracingOptionChecks } from "@project-ingress/forward/internal"
import * as Redacted from "effect/Redacted"
import type { VerificationKey } from "@project-ingress/forward"
import { checkMachineProxyOptions } from "../options.ts"
import { RELAY_URL, relayKeysProblem, relayUrl } from "../relay/options.ts"

/**
 * Checks the options of `layer` of `./effect`, those of the proxy among them.
 *
 * @throws {TypeError} naming the option and what it accepts, never a key
 */
export const checkLayerOptions = (options: unknown): void => {
  checkOptions("layer", options, fields, { required: ["host", "port", "log", "drainMs", "keys", "proxy"] })
  const { keys, proxy, tracing } = options as {
    readonly keys: Redacted.Redacted<unknown> | "insecure"
    readonly proxy: object
    readonly tracing?: unknown
  }
  checkTracing("layer", tracing)
  for (const name of ["keys", "onEvent", "onUpgrade", "beginTrace"]) {
    if (name in proxy) throw new TypeError(`layer: proxy.${name} is not an option`)
  }
  checkMachineProxyOptions("layer", { ...proxy, keys: keys === "insecure" ? keys : Redacted.value(keys) })
  const { relayUrl: relay } = options as { readonly relayUrl?: string }
  const plain = keys === "insecure" ? keys : (Redacted.value(keys) as readonly VerificationKey[])
  const problem = relay === undefined ? undefined : relayKeysProblem(plain)
  if (problem !== undefined) throw new TypeError(`layer: relayUrl: ${problem}`)
}

/**
 * Checks the flags of `config` of `./effect`.
 *
 * @throws {TypeError} naming the flag and what it accepts
 */
export const checkConfigFlags = (flags: unknown): void => {
  checkOptions("config", flags, { insecure: accept.boolean, tracing: acceptTracing })
  checkTracing("config", (flags as { readonly tracing?: unknown }).tracing)
}

const checkTracing = (owner: string, tracing: unknown): void => {
  if (tracing !== undefined && tracing !== false) checkOptions(owner, tracing, tracingOptionChecks, { at: "tracing" })
}

const acceptTracing = (value: unknown) => (value === false ? undefined : accept.object(value))

const fields = {
  host: accept.string,
  port: accept.integer(0, 65_535),
  log: accept.oneOf("access", "errors", "off"),
  drainMs: accept.number(0),
  graceMs: accept.number(0),
  keysFile: accept.string,
  tlsKeyFile: accept.string,
  relayUrl: (value: unknown) => (relayUrl(value) === undefined ? RELAY_URL : undefined),
  readyFd: accept.integer(3, 65_535),
  keys: (value: unknown) =>
    value === "insecure" || Redacted.isRedacted(value) ? undefined : 'redacted verification keys or "insecure"',
  proxy: accept.object,
  tracing: acceptTracing,
}
