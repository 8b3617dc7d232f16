import type { SigningKey } from "@project-ingress/forward"
import { validateSigningKey } from "@project-ingress/forward/internal"
import { checkedRegions } from "../../regions/balancers.ts"

/** How requests get to the edges of other regions. */
export interface EdgeHops {
  /** Signs hops. The same in every region: a secret. */
  readonly signingKey: SigningKey
  /** Where the other regions are reached, by region. */
  readonly balancers: Readonly<Record<string, string>>
}

/** A key as `--generate-key` prints it. `undefined` for any other text, and for a secret that machines would hold, too. */
export const parseSigningKey = (text: string): SigningKey | undefined => {
  try {
    const key = JSON.parse(text) as SigningKey
    return validateSigningKey(key) === undefined && key.kty === "OKP" ? key : undefined
  } catch {
    return undefined
  }
}

/** `region=origin,region=origin`. `regionOf` reads the name of a region. `undefined` for any other text. */
export const parseBalancers = (
  text: string,
  regionOf: (name: string) => string | undefined,
): EdgeHops["balancers"] | undefined => {
  const balancers: Record<string, string> = {}
  for (const each of text.split(",")) {
    const at = each.indexOf("=")
    const name = each.slice(0, Math.max(0, at)).trim()
    const region = regionOf(name)
    if (region === undefined || Object.hasOwn(balancers, region)) return undefined
    balancers[region] = each.slice(at + 1).trim()
  }
  try {
    checkedRegions({ self: "self", balancers })
    return balancers
  } catch {
    return undefined
  }
}
