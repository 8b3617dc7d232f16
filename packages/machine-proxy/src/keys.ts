import { ticketKeyProblem } from "@project-ingress/forward"

/**
 * What is wrong with a key for verification, never the key itself. A machine runs other people's code, so a key there must
 * not be able to sign; only HS256 has no public half.
 */
export const verificationKeyProblem = (key: unknown): string | undefined => {
  const problem = ticketKeyProblem(key)
  if (problem !== undefined) return problem
  return "d" in (key as object) ? `an EdDSA key must be the public half, without "d"` : undefined
}
