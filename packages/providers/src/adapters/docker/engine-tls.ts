import type { OptionCheck } from "@project-ingress/forward/internal"
import { EngineFailure } from "./engine-failure.ts"

/** PEM texts for a connection to an engine that uses TLS. `cert` and `key` are given together or not at all. */
export interface EngineTls {
  /** Certificates of the authorities that may have signed the engine's certificate. */
  readonly ca?: string
  /** The client's certificate. */
  readonly cert?: string
  /** The private key of `cert`. */
  readonly key?: string
}

const KIND = { ca: "certificate", cert: "certificate", key: "private key" } as const

/**
 * Checks that a text is PEM of the right kind. Runtimes disagree about invalid ones: an empty CA makes Node trust all public
 * authorities, and with a broken certificate Deno sends none.
 */
export const acceptPem =
  (name: keyof EngineTls): OptionCheck =>
  (text) =>
    typeof text === "string" && new RegExp(`-----BEGIN (?:[A-Z0-9]+ )*${KIND[name].toUpperCase()}-----`).test(text)
      ? undefined
      : `the PEM text of a ${KIND[name]}`

/**
 * As the docker command does: a non-empty `DOCKER_TLS_VERIFY` asks for TLS with `ca.pem`, `cert.pem` and `key.pem` of the
 * folder `DOCKER_CERT_PATH`, default `~/.docker`. Rejects with an `EngineFailure` that names the file.
 */
export const tlsFromFiles = async (
  env: Readonly<Record<string, string | undefined>>,
): Promise<EngineTls | undefined> => {
  if (!env["DOCKER_TLS_VERIFY"]) return undefined
  const path = env["DOCKER_CERT_PATH"] || `${env["HOME"] ?? ""}/.docker`
  const { readFile } = await import("node:fs/promises")
  const read = async (name: keyof EngineTls): Promise<string> => {
    let text
    try {
      text = await readFile(`${path}/${name}.pem`, "utf8")
    } catch (cause) {
      const { code = "failed" } = cause as { readonly code?: string }
      throw new EngineFailure(`DOCKER_CERT_PATH: ${name}.pem cannot be read: ${code}`, { cause })
    }
    const accepted = acceptPem(name)(text)
    if (accepted === undefined) return text
    throw new EngineFailure(`DOCKER_CERT_PATH: ${name}.pem is not ${accepted}`)
  }
  return { ca: await read("ca"), cert: await read("cert"), key: await read("key") }
}
