import { accept, checkOptions } from "@project-ingress/forward/internal"
import type { Outcome, Policy, PolicyRequest, Route } from "../policies/policy.ts"
import { tokenPrefix } from "./create-token.ts"
import { TokenInvalid, TokenScope } from "./credential-errors.ts"
import type { Access } from "./define-access.ts"
import { grantProblem, isWithdrawn } from "./grant.ts"
import type { VerifiedValue } from "./signed-values.ts"

/** What {@link accessTokens} takes. */
export interface AccessTokensOptions {
  /**
   * The field for tokens of programs whose app reads `Authorization` itself: a name that begins with `x-`. `"authorization"`: there is
   * none. Default `x-ingress-token`. `Authorization: Bearer` takes a token in any case.
   */
  readonly field?: string
  /**
   * Whether a single token was withdrawn, by its id. Asked at every request that carries a valid one, so that it should know by heart. One
   * that throws, or takes more than 5 s, refuses the request (500). Default: only `generation` withdraws tokens, those of a whole project.
   */
  readonly isRevoked?: (id: string) => boolean | Promise<boolean>
}

/**
 * Accepts the tokens of `createToken`, in `Authorization: Bearer` and in a field of its own, and takes them out before a machine gets the request. Mount it
 * before sessions and `visibility`. Any other `Authorization` is the app's and stays as it is.
 *
 * A token that is not good here ends the request, on public ports as well: 401 `TOKEN_INVALID` for one that is forged, has ended or was withdrawn and
 * for two at once, 403 `TOKEN_SCOPE` for one of another project or port.
 *
 * @throws {TypeError} for an option that is unknown or invalid
 */
export const accessTokens = (access: Access, options: AccessTokensOptions = {}): Policy => {
  checkOptions("accessTokens", options, checks)
  const { field: given = "x-ingress-token", isRevoked } = options
  const field = given.toLowerCase() === "authorization" ? undefined : given.toLowerCase()
  const { verify } = access.signed("token")

  /** The token of a request; `undefined` without one. */
  const read = async (token: string): Promise<VerifiedValue | { readonly deny: TokenInvalid }> => {
    if (token === AMBIGUOUS) return { deny: new TokenInvalid({ reason: "there is not exactly one token" }) }
    return (await verify(token)) ?? { deny: new TokenInvalid({ reason: "the token is forged, or has ended" }) }
  }

  const opened = async (token: string, route: Route): Promise<Outcome> => {
    const value = await read(token)
    if ("deny" in value) return value
    const { claims, expiresAt } = value
    const [subject, id] = [String(claims["sub"]), String(claims["jti"])]
    const problem = await grantProblem(claims, route)
    if (problem !== undefined) return { deny: new TokenScope({ reason: `token ${id}: ${problem}` }) }
    if (await isWithdrawn(isRevoked, id)) {
      return { deny: new TokenInvalid({ reason: `token ${id} was withdrawn` }) }
    }
    return { visitor: { subject, by: "token", id, granted: true, ambient: false, expiresAt } }
  }

  const refused = async (token: string): Promise<Outcome> => {
    const value = await read(token)
    return "deny" in value ? value : undefined
  }

  return {
    name: "access tokens",
    explainable: true,
    // Before the look-up, so that a forged token does not tell which hostnames exist.
    onRequest: (request) => {
      const token = presented(request, field)
      return token === undefined ? undefined : refused(token)
    },
    onRoute: (request, route) => {
      const token = presented(request, field)
      return token === undefined ? undefined : opened(token, route)
    },
    onForward: (edit) => {
      edit.removeLines("authorization", holdsToken)
      if (field !== undefined) edit.remove(field)
    },
  }
}

const holdsToken = (value: string): boolean => /(?:^|[^\w-])ingress_/.test(value)

/** Instead of the one token that a request should have. */
const AMBIGUOUS = ""

/** The signed value that a request presents as its token. */
const presented = ({ header }: PolicyRequest, field: string | undefined): string | undefined => {
  const own = field === undefined ? undefined : header(field)
  const authorization = header("authorization")
  const bearer = authorization !== undefined && holdsToken(authorization) ? authorization : undefined
  if (own === undefined && bearer === undefined) return undefined
  if (own !== undefined && bearer !== undefined) return AMBIGUOUS
  const token = own === undefined ? /^Bearer +(\S+)$/i.exec(bearer!)?.[1] : own.trim()
  return token !== undefined && /^ingress_[\w.-]+$/.test(token) ? token.slice(tokenPrefix.length) : AMBIGUOUS
}

const checks = {
  field: (value: unknown) =>
    typeof value === "string" && /^(?:authorization|x-(?!forwarded-|iterate-)[a-z\d-]{1,60})$/i.test(value)
      ? undefined
      : '"authorization", or the name of a field that begins with x-',
  isRevoked: accept.function,
}
