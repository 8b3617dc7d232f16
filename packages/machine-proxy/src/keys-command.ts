import { parseArgs } from "node:util"
import { generateTicketKeys, machineKey } from "@project-ingress/forward"
import type { SigningKey } from "@project-ingress/forward"
import { validateSigningKey } from "@project-ingress/forward/internal"

/** The usage of the subcommand, for `--help`. */
export const keysHelp = (name: string): string => `${name} keys [--kid <id>] [--secret] [--help]
${name} keys --machine <id>

Prints a new pair of ticket keys as environment variables: TICKET_KEY for the router, which signs tickets with it, and
INGRESS_TICKET_KEYS for the machines, which verify tickets with it. Nothing is stored.

--kid <id>      the id of the key, 1 to 64 of A-Z, a-z, 0-9, "." "_" and "-"; every key needs one of its own. Default:
                the date and 8 random characters
--secret        one HS256 secret for both sides instead of an Ed25519 pair. Each machine that has it can send requests
                to every other one, and prove to be any of them: only for machines that trust each other
--machine <id>  INGRESS_TICKET_KEYS of one machine, of the router's key in the variable TICKET_KEY: with the machine's
                own secret, by which it proves who it is. The same each time
`

/**
 * The output of `keys <args>`, or what is wrong with the arguments. The lines are valid in a shell and in a `.env`
 * file.
 *
 * ```text
 * # For the router: a secret.
 * TICKET_KEY='{"kty":"OKP","crv":"Ed25519","x":"…","kid":"2026-11-29-0c5fd9a1","alg":"EdDSA","d":"…"}'
 * # For the machines, verifies tickets. …
 * INGRESS_TICKET_KEYS='{"keys":[{"kty":"OKP","crv":"Ed25519","x":"…","kid":"2026-11-29-0c5fd9a1","alg":"EdDSA"}]}'
 * ```
 */
export const keysCommand = async (
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>> = {},
): Promise<{ readonly output: string } | { readonly problem: string }> => {
  let flags: {
    readonly kid?: string
    readonly secret?: boolean
    readonly machine?: string
    readonly help?: boolean
  }
  try {
    flags = parseArgs({
      args: [...args],
      options: {
        kid: { type: "string" },
        secret: { type: "boolean" },
        machine: { type: "string" },
        help: { type: "boolean" },
      },
    }).values
  } catch (error) {
    return { problem: (error as Error).message }
  }
  if (flags.help === true) return { output: keysHelp(name) }
  if (flags.machine !== undefined) {
    if (flags.kid !== undefined || flags.secret !== undefined) {
      return {
        problem: "--machine: the key is the one in TICKET_KEY, so neither --kid nor --secret is accepted with it",
      }
    }
    return keyOfMachine(flags.machine, environment["TICKET_KEY"])
  }
  const { kid = newKid() } = flags
  // No character that means something to a shell within single quotes.
  if (!/^[A-Za-z0-9._-]{1,64}$/.test(kid)) {
    return {
      problem: `--kid: ${JSON.stringify(kid.slice(0, 64))} is not accepted; expected 1 to 64 of A-Z, a-z, 0-9, . _ -`,
    }
  }
  const { signing, verification } = flags.secret === true ? sharedSecret(kid) : await generateTicketKeys(kid)
  const isShared = signing === verification
  return {
    output: `# For the router: a secret.
TICKET_KEY='${JSON.stringify(signing)}'
${isShared ? SHARED : OWN}
INGRESS_TICKET_KEYS='${JSON.stringify({ keys: [verification] })}'
`,
  }
}

const SHARED = `# For the machines: the same secret. Each of them can send requests to every other one and prove to be any of them.`
const OWN = `# For the machines, verifies tickets. It proves nothing, so a router refuses a machine with it alone: see keys --machine <id>.`

const keyOfMachine = async (
  machine: string,
  text: string | undefined,
): Promise<{ readonly output: string } | { readonly problem: string }> => {
  if (!/^[!-~]{1,255}$/.test(machine)) {
    return { problem: "--machine: is not accepted; expected the machine's id, 1 to 255 visible ASCII characters" }
  }
  const key = signingKeyOf(text)
  if (typeof key === "string") return { problem: `TICKET_KEY: ${key}` }
  try {
    // JSON may hold a quote, which would end the text for a shell; it is written as JSON escapes it.
    const own = JSON.stringify({ keys: [await machineKey(key, machine)] })
    const of =
      key.kty === "oct" ? "of every machine, because it is the shared secret" : "of this machine alone, a secret"
    return { output: `# Of ${machine}, the key ${of}.\nINGRESS_TICKET_KEYS='${own.replaceAll("'", "\\u0027")}'\n` }
  } catch (error) {
    return { problem: `TICKET_KEY: ${(error as Error).message}` }
  }
}

/** The router's key, or what is wrong with its text, without any of it. */
const signingKeyOf = (text: string | undefined): SigningKey | string => {
  if (text === undefined || text === "") return "is not set; expected the router's key, which keys prints"
  try {
    const key: unknown = JSON.parse(text)
    return validateSigningKey(key) ?? (key as SigningKey)
  } catch {
    // The parser's message quotes what it read.
    return "is not JSON"
  }
}

/** Unique, so that two keys of one day can be in use at once. */
const newKid = (): string => `${new Date().toISOString().slice(0, 10)}-${crypto.randomUUID().slice(0, 8)}`

const sharedSecret = (kid: string) => {
  const k = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url")
  const key = { kty: "oct", k, kid, alg: "HS256" } as const
  return { signing: key, verification: key }
}
