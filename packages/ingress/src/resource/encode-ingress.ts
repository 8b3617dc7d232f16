import type { IngressInput } from "./ingress-schema.ts"
import type { DeclaredIngress, DeclaredMatch, DeclaredRule, DeclaredTarget } from "./ingress.ts"

type RuleInput = IngressInput["rules"][number]

/**
 * The document that `decodeIngress` reads as this normal form, in the words that people write: what is stored. Holds the value of a
 * required header where there is one, so it is not for clients.
 */
export const encodeIngress = ({ name, rules }: Pick<DeclaredIngress, "name" | "rules">): IngressInput => ({
  name,
  rules: rules.map(encodeRule),
})

const encodeRule = ({ match, targets, requireHeader, ...settings }: DeclaredRule): RuleInput => ({
  match: encodeMatch(match),
  ...(targets.length === 1 && targets[0]!.weight === 1
    ? { target: encodeTarget(targets[0]!, match) }
    : {
        targets: targets.map((target) => ({
          ...encodeTarget(target, match),
          ...(target.weight === 1 ? {} : { weight: target.weight }),
        })),
      }),
  ...settings,
  ...(requireHeader === undefined ? {} : { requireHeader: encodeHeader(requireHeader) }),
})

const encodeMatch = ({ hostname, protocol, ...others }: DeclaredMatch): RuleInput["match"] => ({
  ...(hostname === undefined ? {} : { hostname: hostname.text }),
  ...(protocol === "http" ? {} : { protocol }),
  ...others,
})

const encodeTarget = (target: DeclaredTarget, match: DeclaredMatch): NonNullable<RuleInput["target"]> => {
  if (target.kind === "url") {
    const { protocol, host, port } = target
    return { url: `${protocol}://${host.includes(":") ? `[${host}]` : host}:${port}` }
  }
  const { protocol, port } = target
  const rest = {
    ...(port === undefined ? {} : { port }),
    // Where the match is TCP or UDP, so is the target.
    ...(match.protocol === "http" && protocol !== "http" ? { protocol: protocol as "https" | "h2c" } : {}),
  }
  if (target.kind === "machine") return { machine: target.machine, ...rest }
  return target.kind === "project" ? { project: target.project, ...rest } : { capture: target.capture, ...rest }
}

/** The hash follows from the value. */
const encodeHeader = ({
  name,
  value,
  sha256,
}: NonNullable<DeclaredRule["requireHeader"]>): NonNullable<RuleInput["requireHeader"]> =>
  value === undefined ? { name, sha256 } : { name, value }
