import { parseArgs } from "node:util"
import { openTlsKeyFile } from "./tls-key-file.ts"

/** The usage of the subcommand, for `--help`. */
export const pinHelp = (name: string): string => `${name} pin [<file>] [--help]

Prints the pin of the machine's TLS key, for \`pin\` in the metadata of its record: sha256// and the base64 of its
public key's SHA-256, as curl takes it as --pinnedpubkey. <file> is that of INGRESS_TLS_KEY_FILE if it is not given. If there is
no such file, the key is made, as at the first start of the proxy.
`

/** The output of `pin <args>`, or what is wrong with the arguments or the file. */
export const pinCommand = (
  name: string,
  args: readonly string[],
  environment: Readonly<Record<string, string | undefined>>,
): { readonly output: string } | { readonly problem: string } => {
  let parsed
  try {
    parsed = parseArgs({ args: [...args], allowPositionals: true, options: { help: { type: "boolean" } } })
  } catch (error) {
    return { problem: (error as Error).message }
  }
  if (parsed.values.help === true) return { output: pinHelp(name) }
  const [file = environment["INGRESS_TLS_KEY_FILE"], ...more] = parsed.positionals
  if (file === undefined || file === "" || more.length > 0) {
    return { problem: "expected one file, or INGRESS_TLS_KEY_FILE" }
  }
  const tls = openTlsKeyFile(file)
  return "problem" in tls
    ? { problem: `${JSON.stringify(file.slice(0, 256))} ${tls.problem}` }
    : { output: `${tls.pin}\n` }
}
