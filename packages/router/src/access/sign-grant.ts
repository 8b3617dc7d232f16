import { maxSignedLength } from "./signed-values.ts"
import type { Claims, SignedValues } from "./signed-values.ts"

/**
 * Signs what a token or a link says.
 *
 * @throws {TypeError} as a rejection, for claims that are too long to be read again
 */
export const signGrant = async (owner: string, values: SignedValues, claims: Claims, ms: number): Promise<string> => {
  const signed = await values.sign(claims, ms)
  if (signed.length <= maxSignedLength) return signed
  throw new TypeError(`${owner}: subject, project and path are too long together`)
}
