import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { Access } from "./define-access.ts"
import { checkProject, grantChecks, grantClaims, grantId, portsOf } from "./grant.ts"
import type { GrantedProject } from "./grant.ts"
import { redirectTarget } from "./redirect-target.ts"
import { maxSignedLength } from "./signed-values.ts"

/** What {@link createShareLink} takes. */
export interface NewShareLink {
  /** The hostname that the link leads to, without a port: `8000__misha.iterate.app`. It decides nothing: `project` and `port` do. */
  readonly hostname: string
  /** The project that it opens: its key, and the fields of its record that are there. */
  readonly project: GrantedProject
  /** The port that it opens, by the port arrived at; several where `rules` lead to others. */
  readonly port: number | readonly number[]
  /** In ms from now, from 1 000 up to ten years. */
  readonly expiresInMs: number
  /** Where the visitor is sent on the hostname: path, query and fragment, at most 1 024 visible ASCII characters. Default `/`. */
  readonly path?: string
  /** Whom visitors by this link stand for, 1 to 256 characters. Default `link`. */
  readonly subject?: string
  /** The origin that browsers see, where it is not `https://<hostname>`: `http://8000__misha.localhost:8787`. Its host is `hostname`. */
  readonly origin?: string
}

/** A link that was created. */
export interface ShareLink {
  /** Whoever has it can open the port until it ends. */
  readonly url: string
  /** Names it in events and for `isRevoked`; no secret. */
  readonly id: string
  /** In ms since 1970. */
  readonly expiresAt: number
}

/**
 * Creates a link that opens one port to whoever has it, without an account, which the policy `shareLinks` accepts. The grant is in the fragment: browsers
 * send it to nobody, so that no log, proxy or `Referer` has it. It is signed and not stored.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, as a rejection
 *
 * @example
 * const { url } = await createShareLink(access, { hostname: "8000__misha.iterate.app", project, port: 8000, expiresInMs: 86_400_000 })
 */
export const createShareLink = async (access: Access, options: NewShareLink): Promise<ShareLink> => {
  checkOptions("createShareLink", options, checks, { required: ["hostname", "project", "port", "expiresInMs"] })
  const { hostname, project, port, expiresInMs, path = "/", subject = "link", origin = `https://${hostname}` } = options
  checkProject("createShareLink", project)
  if (new URL(origin).hostname !== hostname) {
    throw new TypeError("createShareLink: origin must be that of hostname")
  }
  if (redirectTarget(path, access.prefix) !== path) {
    throw new TypeError(
      "createShareLink: path must be a path of the app's, in visible ASCII, with a single / at its beginning",
    )
  }
  const id = grantId()
  const scope = await grantClaims(project, portsOf(port))
  const claims = { ...scope, sub: subject, jti: id, ...(path === "/" ? {} : { to: path }) }
  const expiresAt = Date.now() + expiresInMs
  const grant = await access.signed("link").sign(claims, expiresInMs)
  if (grant.length > maxSignedLength) throw new TypeError("createShareLink: subject and path are too long together")
  return { url: `${origin}${access.prefix}link#${grant}`, id, expiresAt }
}

const checks = {
  ...grantChecks,
  hostname: (value: unknown) =>
    typeof value === "string" && /^[a-z\d_](?:[a-z\d_.-]*[a-z\d])?$/.test(value) && isHost(value)
      ? undefined
      : "a hostname in lower case, without a port",
  path: accept.string,
  origin: (value: unknown) =>
    typeof value === "string" && /^https?:\/\/[^/?#@]+$/.test(value) && URL.canParse(value) ? undefined : "an origin",
}

const isHost = (value: string): boolean => URL.canParse(`https://${value}`)
