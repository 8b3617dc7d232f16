import { readFileSync } from "node:fs"
import { isIP } from "node:net"
import type { ConsoleAccess } from "./read-console.ts"

/** Input that cannot be used. Its message says which argument, and what is accepted. */
export class BadArgument extends Error {
  override readonly name = "BadArgument"
}

/** A whole number in a range. */
export const integerOf = (name: string, text: string | undefined, min: number, max: number): number | undefined => {
  if (text === undefined) return undefined
  const value = Number(text)
  if (/^\d+$/.test(text) && value >= min && value <= max) return value
  throw new BadArgument(`${name} must be a whole number from ${min} to ${max}`)
}

export const addressOf = (text: string | undefined): string | undefined => {
  if (text === undefined || isIP(text) !== 0) return text
  throw new BadArgument("--address must be an IP address, without brackets and port")
}

/** The text of a file that an option names. */
export const textOf = (option: string, file: string): string => {
  try {
    return readFileSync(file, "utf8")
  } catch (cause) {
    const why = cause instanceof Error && "code" in cause ? reasons[String(cause.code)] : undefined
    throw new BadArgument(`${option}: ${file} ${why ?? "cannot be read"}`)
  }
}

const reasons: Readonly<Record<string, string>> = {
  ENOENT: "does not exist",
  EACCES: "may not be read by this user",
  EISDIR: "is a folder",
}

/** The authorities of `--ca`. */
export const authoritiesOf = (file: string | undefined): string | undefined => {
  if (file === undefined) return undefined
  const text = textOf("--ca", file)
  if (text.includes("-----BEGIN CERTIFICATE-----")) return text
  throw new BadArgument(`--ca: ${file} has no certificate in PEM (-----BEGIN CERTIFICATE-----)`)
}

/** The console of `--console`, and the token of the environment. */
export const consoleOf = (
  text: string | undefined,
  environment: Readonly<Record<string, string | undefined>>,
): ConsoleAccess | undefined => {
  if (text === undefined) return undefined
  const url = URL.canParse(text) ? new URL(text) : undefined
  const isWeb = url?.protocol === "https:" || url?.protocol === "http:"
  if (url === undefined || !isWeb) throw new BadArgument("--console must be the http or https URL of a console")
  if (url.username !== "" || url.password !== "") {
    throw new BadArgument("--console must have no credentials: the token is INGRESS_CONSOLE_TOKEN")
  }
  const { INGRESS_CONSOLE_TOKEN: token } = environment
  // Whoever is on the way could read it.
  if (
    token !== undefined &&
    url.protocol === "http:" &&
    !/^(?:127\.\d+\.\d+\.\d+|\[::1\]|(?:.+\.)?localhost)$/.test(url.hostname)
  ) {
    throw new BadArgument("--console must be https, or of this computer, if there is a token")
  }
  return { url, token }
}
