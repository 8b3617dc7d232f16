import { createHash, X509Certificate } from "node:crypto"
import { generate } from "selfsigned"

/** A certificate that this run made for itself, and its key. */
export interface Certificate {
  readonly key: string
  readonly cert: string
  /** The SHA-256 of its public key in base64, by which Chromium accepts it: `--ignore-certificate-errors-spki-list`. */
  readonly spki: string
}

/** What makes a certificate other than a good one. */
export interface CertificateFlaws {
  readonly notBeforeDate?: Date
  readonly notAfterDate?: Date
  /** Who signs it instead of itself. */
  readonly ca?: { readonly key: string; readonly cert: string }
}

/** A self-signed certificate for DNS names, wildcards included: `*.ingress.test`. */
export const selfSigned = async (names: readonly string[], flaws: CertificateFlaws = {}): Promise<Certificate> => {
  const { private: key, cert } = await generate([{ name: "commonName", value: names[0]! }], {
    keyType: "ec",
    algorithm: "sha256",
    ...flaws,
    extensions: [{ name: "subjectAltName", altNames: names.map((value) => ({ type: 2 as const, value })) }],
  })
  const publicKey = new X509Certificate(cert).publicKey.export({ type: "spki", format: "der" })
  return { key, cert, spki: createHash("sha256").update(publicKey).digest("base64") }
}

/** A certificate authority that nobody trusts. */
export const authorityCertificate = async (): Promise<{ readonly key: string; readonly cert: string }> => {
  const { private: key, cert } = await generate([{ name: "commonName", value: "Test Authority" }], {
    keyType: "ec",
    algorithm: "sha256",
    extensions: [{ name: "basicConstraints", cA: true, critical: true }],
  })
  return { key, cert }
}
