import { checkOptions } from "@project-ingress/forward/internal"
import type { Access } from "./define-access.ts"
import { checkProject, grantChecks, grantClaims, grantId, portsOf } from "./grant.ts"
import type { GrantedProject } from "./grant.ts"

/** What every access token begins with, by which an app's own `Authorization` is told apart, and which scanners for secrets find. */
export const tokenPrefix = "ingress_"

/** What {@link createToken} takes. */
export interface NewToken {
  /** Whom the token stands for, 1 to 256 characters: `request.visitor.subject` of policies. */
  readonly subject: string
  /** The project that it opens: its key, and the fields of its record that are there. */
  readonly project: GrantedProject
  /** The ports that it opens, by the port arrived at. Default: every port of the project. */
  readonly port?: number | readonly number[]
  /** In ms from now, from 1 000 up to ten years. */
  readonly expiresInMs: number
}

/** A token that was created. */
export interface AccessToken {
  /** The secret: shown once and stored nowhere. */
  readonly token: string
  /** Names it in events and for `isRevoked`; no secret. */
  readonly id: string
  /** In ms since 1970. */
  readonly expiresAt: number
}

/**
 * Creates a token for programs, which the policy `accessTokens` accepts. It is signed and not stored.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid, as a rejection
 *
 * @example
 * const { token } = await createToken(access, { subject: "ci", project, port: 8000, expiresInMs: 30 * 86_400_000 })
 */
export const createToken = async (access: Access, options: NewToken): Promise<AccessToken> => {
  checkOptions("createToken", options, grantChecks, { required: ["subject", "project", "expiresInMs"] })
  const { subject, project, port, expiresInMs } = options
  checkProject("createToken", project)
  const id = grantId()
  const claims = { ...(await grantClaims(project, portsOf(port))), sub: subject, jti: id }
  const expiresAt = Date.now() + expiresInMs
  const signed = await access.signed("token").sign(claims, expiresInMs)
  return { token: `${tokenPrefix}${signed}`, id, expiresAt }
}
