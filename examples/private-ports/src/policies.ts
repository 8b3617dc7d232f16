import type { Grammar } from "@project-ingress/hostname"
import type { PolicyInput } from "@project-ingress/router"
import { accessTokens, shareLinks, signIn } from "@project-ingress/router/access"
import type { Access } from "@project-ingress/router/access"
import { authorize, canonicalHost, rateLimit, visibility } from "@project-ingress/router/policies"

/** What {@link accessPolicies} takes. */
export interface AccessPolicies {
  readonly access: Access
  readonly grammar: Grammar
  /** The control plane's origin: `http://localhost:8787`. */
  readonly controlPlane: string
  /** Whether a user may open a project, by the control plane's own ids. */
  readonly isMember: (user: string, project: string | undefined) => boolean | Promise<boolean>
}

/** All that stands between a route and its visitors, in order. */
export const accessPolicies = ({ access, grammar, controlPlane, isMember }: AccessPolicies): readonly PolicyInput[] => {
  const people = signIn(access, { grammar, controlPlane })
  return [
    rateLimit({ key: "client", burst: 200, perSecond: 50 }),
    canonicalHost({ grammar }),
    accessTokens(access),
    people.policy,
    shareLinks(access),
    visibility({ grammar, signIn: people }),
    authorize(({ subject }, { record }) => isMember(subject, record.externalId)),
  ]
}
