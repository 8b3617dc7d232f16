/**
 * The visitor of a request, as a policy has proven. Later policies read it as `request.visitor`; the router reads it to
 * decide who wakes a machine, and whose open responses end when access is withdrawn. Nothing of it is sent to a machine unless a policy
 * does that.
 */
export interface Visitor {
  /** Who it is to the platform: a user's id, or what a token or a link was made for. 1 to 256 characters. Never a secret. */
  readonly subject: string
  /** What proved it, for events: `session`, `token`, `link`, or a name of the policy's own. */
  readonly by: string
  /** Names the session, token or link: what is withdrawn. 1 to 128 characters of `A-Z a-z 0-9 - _`. Never a secret. */
  readonly id: string
  /**
   * True for a credential that is itself the permission for this route, as a share link is: `authorize` is not asked about it. Default
   * false: the platform decides what the subject may open.
   */
  readonly granted?: boolean
  /**
   * False for a credential that a browser never sends by itself, as a token in a field. With any other, a page of another site can
   * make a visitor's browser send requests, so that the `Origin` is checked. Default true.
   */
  readonly ambient?: boolean
  /** True for who may learn which ports of the machine are in use. Default false. */
  readonly mayInspect?: boolean
  /** When the credential ends, in ms since 1970. Default: it does not end by itself. */
  readonly expiresAt?: number
  /**
   * Who it is if the platform does not let the subject in: somebody who is signed in, is no member, and has opened a share link. Has no
   * `otherwise` of its own. `authorize` reads it.
   */
  readonly otherwise?: Visitor
}

/** Whether a policy's `visitor` is one. */
export const isVisitor = (value: unknown): value is Visitor => {
  const { subject, by, id, granted, ambient, mayInspect, expiresAt, otherwise } = (value ?? {}) as Readonly<
    Record<string, unknown>
  >
  const flags = [granted, ambient, mayInspect].every((flag) => flag === undefined || typeof flag === "boolean")
  const isEnd = expiresAt === undefined || typeof expiresAt === "number"
  const isPlain = otherwise === undefined || (isVisitor(otherwise) && otherwise.otherwise === undefined)
  return flags && isText(subject) && isText(by) && isVisitorId(id) && isEnd && isPlain
}

/** Whether a text may be the `id` of a visitor. */
export const isVisitorId = (value: unknown): value is string =>
  typeof value === "string" && /^[\w-]{1,128}$/.test(value)

const isText = (value: unknown): boolean => typeof value === "string" && value !== "" && value.length <= 256
