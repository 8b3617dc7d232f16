import { createPrivateKey, generateKeyPairSync, randomUUID, X509Certificate } from "node:crypto"
import { closeSync, fsyncSync, linkSync, openSync, rmSync, writeFileSync } from "node:fs"
import { createServer } from "node:tls"
import type { Server } from "node:tls"
import { defaultLimits, publicKeyPin } from "@project-ingress/forward/sockets"
import { readSmallFile } from "./read-small-file.ts"
import { selfSignedCertificate } from "./self-signed-certificate.ts"

/** A machine's side of TLS. */
export interface MachineTls {
  /** Has the key and does not listen itself: for `secureConnection` of a machine proxy. */
  readonly server: Server
  /** Of its public key: for the machine's record. No secret. */
  readonly pin: string
}

/**
 * Opens the file of a machine's TLS key: PEM with a private key (EC, RSA or Ed25519) and perhaps its certificate, which nobody looks
 * at but for the key, so that one is made where there is none. Where there is no file, a P-256 key is made and written there,
 * readable by its owner only. Gives what is wrong otherwise: the end of a sentence, without key material.
 */
export const openTlsKeyFile = (path: string): MachineTls | { readonly problem: string } => {
  let read = readSmallFile(path)
  if ("problem" in read && read.code === "ENOENT") {
    const code = makeKeyFile(path)
    if (code !== undefined) return { problem: `cannot be made (${code})` }
    read = readSmallFile(path)
  }
  return "problem" in read ? read : tlsOf(read.text)
}

/**
 * TLS for a machine proxy, by the key in a file: PEM with a private key (EC, RSA or Ed25519) and perhaps its certificate. Where there
 * is no file, a key is made and written there, readable by its owner only.
 *
 * ```ts
 * const { server, pin } = machineTls("/var/lib/ingress/tls.pem")
 * net.createServer(proxy.secureConnection(server)).listen(8080)
 * ```
 *
 * @throws {Error} naming the file and what is wrong with it, never a key
 */
export const machineTls = (keyFile: string): MachineTls => {
  const tls = openTlsKeyFile(keyFile)
  if ("problem" in tls) throw new Error(`machineTls: ${JSON.stringify(keyFile)} ${tls.problem}`)
  return tls
}

const NO_KEY = "has no private key in PEM that TLS can use: EC, RSA or Ed25519, not encrypted"

const CERTIFICATES = /-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g

const tlsOf = (pem: string): MachineTls | { readonly problem: string } => {
  try {
    const key = createPrivateKey(pem)
    // Without the key beside them: the server shows what it is given as certificates.
    const given = pem.match(CERTIFICATES)?.join("\n")
    if (given !== undefined && !new X509Certificate(given).checkPrivateKey(key)) {
      return { problem: "has a certificate of another key" }
    }
    const cert = given ?? selfSignedCertificate(key)
    if (cert === undefined) return { problem: NO_KEY }
    const handshakeTimeout = defaultLimits.headersTimeoutMs
    const server = createServer({ key: pem, cert, ALPNProtocols: ["http/1.1"], handshakeTimeout })
    // Its connections have it from the context that was made of it; here it would only be printed.
    delete (server as { key?: unknown }).key
    return { server, pin: publicKeyPin(key) }
  } catch {
    // What a parser says may quote what it read.
    return { problem: NO_KEY }
  }
}

/** Writes a new key, unless another process has by then: its key counts. Gives the code of what failed. */
const makeKeyFile = (path: string): string | undefined => {
  const { privateKey } = generateKeyPairSync("ec", { namedCurve: "P-256" })
  const temporary = `${path}.${randomUUID()}`
  try {
    const file = openSync(temporary, "wx", 0o600)
    try {
      writeFileSync(file, privateKey.export({ type: "pkcs8", format: "pem" }))
      fsyncSync(file)
    } finally {
      closeSync(file)
    }
    // Unlike a rename it replaces nothing, and nobody ever reads a part of a key.
    linkSync(temporary, path)
  } catch (error) {
    const { code = "unknown reason" } = error as NodeJS.ErrnoException
    return code === "EEXIST" ? undefined : code
  } finally {
    rmSync(temporary, { force: true })
  }
  return undefined
}
