import { ask } from "./ask.ts"
import type { Asked } from "./ask.ts"
import { checkApp, portOfHostname } from "./check-app.ts"
import { checkCertificate, speaksTls } from "./check-certificate.ts"
import { checkClock } from "./check-clock.ts"
import { checkConnection } from "./check-connection.ts"
import { checkConsole } from "./check-console.ts"
import { checkDns, systemResolve } from "./check-dns.ts"
import type { Resolve } from "./check-dns.ts"
import { checkResponse, shown } from "./check-response.ts"
import type { DoctorTarget } from "./doctor-target.ts"
import { error } from "./finding.ts"
import type { Finding } from "./finding.ts"
import type { ConsoleAccess } from "../read-console.ts"

/** How the doctor looks. */
export interface DoctorSettings {
  /** Where to connect to instead of what DNS says. */
  readonly address?: string | undefined
  /** In PEM. */
  readonly ca?: string | undefined
  /** Of each step, in ms. */
  readonly timeoutMs: number
  /** This computer is the machine: its own ports are looked at. */
  readonly machine?: { readonly port: number | undefined; readonly addresses?: readonly string[] } | undefined
  readonly console?: ConsoleAccess | undefined
  readonly resolve?: Resolve
  /** In ms since 1970. */
  readonly now?: () => number
  /** Called with what is looked at next. */
  readonly onProgress?: (what: string) => void
}

/** How often a redirect to the same origin is followed, as browsers do. */
const MAX_REDIRECTS = 20
/** The port of a hostname that names none, and whose console is not asked. */
const DEFAULT_PORT = 3_000

/** Looks at a URL from DNS to the app, as far as each step lets. Never rejects for anything that it finds. */
export const runDoctor = async (target: DoctorTarget, settings: DoctorSettings): Promise<readonly Finding[]> => {
  const { timeoutMs, machine, console, onProgress = () => {} } = settings
  const findings: Finding[] = []
  if (machine !== undefined) {
    onProgress("the app's port")
    const port = machine.port ?? portOfHostname(target.hostname) ?? DEFAULT_PORT
    findings.push(await checkApp(port, timeoutMs, machine.addresses))
  }
  findings.push(...(await fromOutside(target, settings)))
  if (console !== undefined) {
    onProgress("the console")
    findings.push(...(await checkConsole(target.url, console, timeoutMs)))
  }
  return findings
}

const fromOutside = async (target: DoctorTarget, settings: DoctorSettings): Promise<readonly Finding[]> => {
  const { hostname, port, secure, url } = target
  const { address: given, ca, timeoutMs, resolve = systemResolve, now = Date.now, onProgress = () => {} } = settings
  onProgress("DNS")
  const dns = given === undefined ? await checkDns(hostname, resolve) : { addresses: [given], findings: [] }
  if (dns.addresses.length === 0) return dns.findings
  onProgress("the port")
  const connection = await checkConnection(dns.addresses, port, timeoutMs)
  const found = [...dns.findings, ...connection.findings]
  const { address } = connection
  if (address === undefined) return found
  if (secure) {
    onProgress("the certificate")
    const certificate = await checkCertificate(target, { address, ca, timeoutMs, now: now() })
    found.push(...certificate.findings)
    if (!certificate.speaksTls) return found
  }
  onProgress("the route")
  const { asked, finding } = await follow(target, address, timeoutMs)
  if (finding !== undefined) found.push(finding)
  else if (asked !== undefined) found.push(checkResponse(asked, url))
  return asked === undefined ? found : [...found, ...checkClock(asked, url.host)]
}

/** Asks, and follows redirects that lead to the same origin; one that comes back never ends in a browser. */
const follow = async (
  target: DoctorTarget,
  address: string,
  timeoutMs: number,
): Promise<{ readonly asked?: Asked; readonly finding?: Finding }> => {
  const { url, hostname, port, secure } = target
  const resource = `route ${url.host}`
  const visited = new Set<string>()
  for (let at: URL = url, redirects = 0; ; redirects++) {
    const asked = await ask({ url: at, hostname, port, secure }, address, timeoutMs)
    if ("code" in asked) return { finding: await unread(target, address, asked.code, timeoutMs) }
    visited.add(at.href)
    const { location } = asked.headers
    if (asked.status < 300 || asked.status > 399 || location === undefined || !URL.canParse(location, at))
      return { asked }
    const next = new URL(location, at)
    if (visited.has(next.href) || redirects === MAX_REDIRECTS) {
      const detail = `${asked.status} to ${shown(next.href)}, which was asked for before: a browser gives up.`
      return {
        asked,
        finding: error(
          "REDIRECT_LOOP",
          resource,
          detail,
          'Where the app redirects to have https: set forwardedProto: true on the port, or appOrigin: "public". Where an edge does: its TLS mode (Cloudflare: Full).',
        ),
      }
    }
    if (next.origin !== url.origin) return { asked }
    at = next
  }
}

const unread = async (
  { url, hostname, secure, port }: DoctorTarget,
  address: string,
  code: string,
  timeoutMs: number,
): Promise<Finding> => {
  const resource = `route ${url.host}`
  if (!secure && code !== "ETIMEDOUT" && (await speaksTls(address, port, hostname, timeoutMs))) {
    return error(
      "SPEAKS_TLS",
      resource,
      "This port speaks TLS, and the URL says http.",
      "Ask https://, or let the listener on this port speak plain HTTP.",
    )
  }
  return code === "ETIMEDOUT"
    ? error(
        "NO_RESPONSE",
        resource,
        `There was no response within ${timeoutMs / 1_000} s.`,
        "The machine may be starting: try again, with a longer --timeout. Then look at the log of the router.",
      )
    : error(
        "NO_HTTP",
        resource,
        `The connection ended without a response (${code}).`,
        "Look at what listens there: it may be no HTTP server, or expect the PROXY protocol.",
      )
}
