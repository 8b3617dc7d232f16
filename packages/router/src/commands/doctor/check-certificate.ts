import { connect as connectTcp } from "node:net"
import { checkServerIdentity, connect } from "node:tls"
import type { PeerCertificate, TLSSocket } from "node:tls"
import { isIP } from "node:net"
import { authorityOf } from "./doctor-target.ts"
import type { DoctorTarget } from "./doctor-target.ts"
import { error, ok, warning } from "./finding.ts"
import type { Finding } from "./finding.ts"

/** How long before its end a certificate should have been renewed, in ms: what renews them does so a month before. */
const SOON_MS = 14 * 86_400_000

/** What {@link checkCertificate} takes beside the target. */
export interface CertificateSettings {
  readonly address: string
  /** In PEM: whom to trust beside the runtime's own list. */
  readonly ca?: string | undefined
  readonly timeoutMs: number
  /** In ms since 1970. */
  readonly now: number
}

/** What visitors' browsers would say of the certificate. `speaksTls`: whether a request can be sent at all. */
export const checkCertificate = async (
  { hostname, port }: DoctorTarget,
  { address, ca, timeoutMs, now }: CertificateSettings,
): Promise<{ readonly speaksTls: boolean; readonly findings: readonly Finding[] }> => {
  const resource = `certificate ${authorityOf(address, port)}`
  const seen = await handshake(address, port, hostname, ca, timeoutMs)
  if ("certificate" in seen) {
    const findings = findingsOf(hostname, resource, seen, now)
    const until = seen.certificate.valid_to
    const all =
      findings.length > 0 ? findings : [ok("CERTIFICATE_VALID", resource, `It is valid for this name until ${until}.`)]
    return { speaksTls: true, findings: all }
  }
  const finding = (await speaksHttp(address, port, timeoutMs))
    ? error(
        "PLAIN_HTTP",
        resource,
        "It speaks HTTP without TLS, and the URL says https.",
        "Let the listener end TLS (listen({ tls }) of serveNode), let the load balancer do it before this port, or ask http://.",
      )
    : refusedHandshake(hostname, resource, seen.code)
  return { speaksTls: false, findings: [finding] }
}

const refusedHandshake = (hostname: string, resource: string, code: string): Finding =>
  /UNRECOGNIZED_NAME|HANDSHAKE_FAILURE|ALERT_INTERNAL_ERROR|ALERT_ACCESS_DENIED/.test(code)
    ? error(
        "CERTIFICATE_MISSING",
        resource,
        `It refuses the handshake for ${hostname} (${code}), as edges do that have no certificate for a name.`,
        `A wildcard covers one label: order a certificate for *.${parentOf(hostname)}, at Cloudflare by Total TLS or an advanced certificate.`,
      )
    : error(
        "TLS_FAILED",
        resource,
        `The TLS handshake fails (${code}).`,
        "Look at the log of what ends TLS at this address.",
      )

interface Seen {
  readonly certificate: PeerCertificate
  /** OpenSSL's code, without that of the name. */
  readonly problem: string | undefined
}

const findingsOf = (
  hostname: string,
  resource: string,
  { certificate, problem }: Seen,
  now: number,
): readonly Finding[] => {
  const findings: Finding[] = []
  const from = Date.parse(certificate.valid_from)
  const until = Date.parse(certificate.valid_to)
  if (until < now) {
    findings.push(
      error(
        "CERTIFICATE_EXPIRED",
        resource,
        `It ended at ${certificate.valid_to}.`,
        "Renew it, reload what ends TLS, and look why it was not renewed by itself.",
      ),
    )
  } else if (from > now) {
    findings.push(
      error(
        "CERTIFICATE_NOT_YET_VALID",
        resource,
        `It begins at ${certificate.valid_from}.`,
        "Set the clock of this computer, or that of whoever issued it.",
      ),
    )
  } else if (until - now < SOON_MS) {
    findings.push(
      warning(
        "CERTIFICATE_EXPIRES_SOON",
        resource,
        `It ends at ${certificate.valid_to}.`,
        "Renew it; look why it was not renewed by itself.",
      ),
    )
  }
  const names = namesOf(certificate)
  if (checkServerIdentity(hostname, certificate) !== undefined) findings.push(wrongName(hostname, resource, names))
  if (problem !== undefined && chainProblems.has(problem)) {
    findings.push(
      error(
        "CERTIFICATE_CHAIN",
        resource,
        `Nobody can verify who issued it (${problem}): an intermediate certificate is not sent, or its authority is not public.`,
        "Send the full chain (fullchain.pem, not cert.pem), or name the authority by --ca.",
      ),
    )
  } else if (problem !== undefined && problem !== "CERT_HAS_EXPIRED" && problem !== "CERT_NOT_YET_VALID") {
    findings.push(
      error(
        "CERTIFICATE_UNTRUSTED",
        resource,
        `Browsers do not trust it (${problem}).`,
        "Use a certificate of a public authority, or name a private one by --ca.",
      ),
    )
  }
  return findings
}

/** What OpenSSL says where the way from the certificate to a known authority has a gap. */
const chainProblems: ReadonlySet<string> = new Set([
  "UNABLE_TO_VERIFY_LEAF_SIGNATURE",
  "UNABLE_TO_GET_ISSUER_CERT",
  "UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
])

const wrongName = (hostname: string, resource: string, names: readonly string[]): Finding => {
  const shown = names.length === 0 ? "no name" : names.slice(0, 5).join(", ")
  const tooDeep = names.find((name) => name.startsWith("*.") && hostname.endsWith(name.slice(1)))
  return tooDeep === undefined
    ? error(
        "CERTIFICATE_NAME",
        resource,
        `It is for ${shown}, not for ${hostname}.`,
        `Order one for *.${parentOf(hostname)} (certificateNames of the hostname package lists all), or let what ends TLS choose it by SNI.`,
      )
    : error(
        "CERTIFICATE_DEPTH",
        resource,
        `It is for ${shown}, and a wildcard covers one label: ${hostname} has ${depthBelow(hostname, tooDeep)} below ${tooDeep.slice(2)} (RFC 9525 §6.3).`,
        `Use a hostname with one label before ${tooDeep.slice(2)} (4096__misha, not 4096.misha), or order a certificate for *.${parentOf(hostname)}.`,
      )
}

const depthBelow = (hostname: string, wildcard: string): number =>
  hostname.slice(0, -wildcard.length + 1).split(".").length

const parentOf = (hostname: string): string => hostname.split(".").slice(1).join(".")

const namesOf = ({ subjectaltname = "", subject }: PeerCertificate): readonly string[] => {
  const names = [...subjectaltname.matchAll(/DNS:([^,\s"]+)/g)].map(([, name]) => name!)
  return names.length > 0 || subject?.CN === undefined ? names : [String(subject.CN)]
}

const handshake = (
  address: string,
  port: number,
  hostname: string,
  ca: string | undefined,
  timeoutMs: number,
): Promise<Seen | { readonly code: string }> =>
  new Promise((resolve) => {
    const socket: TLSSocket = connect({
      host: address,
      port,
      // RFC 6066 §3: a name only.
      ...(isIP(hostname) === 0 ? { servername: hostname } : {}),
      // What is wrong with it is what is to be found out. Nothing is sent.
      rejectUnauthorized: false,
      checkServerIdentity: () => undefined,
      ...(ca === undefined ? {} : { ca: [ca] }),
    })
    const end = (seen: Seen | { readonly code: string }): void => {
      socket.destroy()
      resolve(seen)
    }
    socket.setTimeout(timeoutMs, () => end({ code: "ETIMEDOUT" }))
    socket.on("error", (cause: NodeJS.ErrnoException) => end({ code: cause.code ?? "UNKNOWN" }))
    socket.on("close", () => end({ code: "ECONNRESET" }))
    socket.on("secureConnect", () => {
      const { authorizationError: cause } = socket as { readonly authorizationError: unknown }
      const problem = cause instanceof Error ? ((cause as NodeJS.ErrnoException).code ?? cause.message) : cause
      end({ certificate: socket.getPeerCertificate(), problem: typeof problem === "string" ? problem : undefined })
    })
  })

/** Whether what does not speak TLS speaks HTTP/1. */
const speaksHttp = (address: string, port: number, timeoutMs: number): Promise<boolean> =>
  new Promise((resolve) => {
    const socket = connectTcp({ host: address, port })
    const end = (speaks: boolean): void => {
      socket.destroy()
      resolve(speaks)
    }
    socket.setTimeout(timeoutMs, () => end(false))
    socket.on("error", () => end(false))
    socket.on("close", () => end(false))
    socket.on("connect", () => socket.write("OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"))
    socket.once("data", (data) => end(data.toString("latin1", 0, 7) === "HTTP/1."))
  })

/** Whether TLS is spoken at a port that was asked in plain text. */
export const speaksTls = async (address: string, port: number, hostname: string, timeoutMs: number): Promise<boolean> =>
  "certificate" in (await handshake(address, port, hostname, undefined, timeoutMs))
