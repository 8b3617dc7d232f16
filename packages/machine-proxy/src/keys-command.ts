import { parseArgs } from "node:util"
import { generateTicketKeys } from "@project-ingress/forward"

/** The usage of the subcommand, for `--help`. */
export const keysHelp = (name: string): string => `${name} keys [--kid <id>] [--secret] [--help]

Prints a new pair of ticket keys as environment variables: TICKET_KEY for the router, which signs tickets with it, and
INGRESS_TICKET_KEYS for the machines, which verify tickets with it. Nothing is stored.

--kid <id>   the id of the key, 1 to 64 of A-Z, a-z, 0-9, "." "_" and "-"; every key needs one of its own. Default: the
             date and 8 random characters
--secret     one HS256 secret for both sides instead of an Ed25519 pair: each machine could sign tickets, too
`

/**
 * The output of `keys <args>`, or what is wrong with the arguments. The lines are valid in a shell and in a `.env`
 * file.
 *
 * ```text
 * # For the router: a secret.
 * TICKET_KEY='{"kty":"OKP","crv":"Ed25519","x":"…","kid":"2026-11-29-0c5fd9a1","alg":"EdDSA","d":"…"}'
 * # For the machines.
 * INGRESS_TICKET_KEYS='{"keys":[{"kty":"OKP","crv":"Ed25519","x":"…","kid":"2026-11-29-0c5fd9a1","alg":"EdDSA"}]}'
 * ```
 */
export const keysCommand = async (
  name: string,
  args: readonly string[],
): Promise<{ readonly output: string } | { readonly problem: string }> => {
  let flags: { readonly kid?: string; readonly secret?: boolean; readonly help?: boolean }
  try {
    flags = parseArgs({
      args: [...args],
      options: { kid: { type: "string" }, secret: { type: "boolean" }, help: { type: "boolean" } },
    }).values
  } catch (error) {
    return { problem: (error as Error).message }
  }
  if (flags.help === true) return { output: keysHelp(name) }
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
# For the machines${isShared ? ": the same secret" : ""}.
INGRESS_TICKET_KEYS='${JSON.stringify({ keys: [verification] })}'
`,
  }
}

/** Unique, so that two keys of one day can be in use at once. */
const newKid = (): string => `${new Date().toISOString().slice(0, 10)}-${crypto.randomUUID().slice(0, 8)}`

const sharedSecret = (kid: string) => {
  const k = Buffer.from(crypto.getRandomValues(new Uint8Array(32))).toString("base64url")
  const key = { kty: "oct", k, kid, alg: "HS256" } as const
  return { signing: key, verification: key }
}
