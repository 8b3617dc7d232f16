import { accept, checkOptions, monotonicNow } from "@project-ingress/forward/internal"
import { format } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import { parseEmail } from "@project-ingress/hostname/email"
import { deliver } from "../hosts/deliver.ts"
import { programOf } from "../router-program.ts"
import type { Router } from "../router-options.ts"
import { isGrammar } from "../stores/is-grammar.ts"
import { mailId } from "./mail.ts"
import type { Mail } from "./mail.ts"
import type { MailKeeper } from "./mail-keeper.ts"
import { mailOutcome, movedTo, rejected } from "./mail-outcome.ts"
import type { MailOutcome } from "./mail-outcome.ts"

/** What {@link mailReceiver} takes beside the router. */
export interface MailOptions {
  /** The router's own grammar: it says which project `anything@misha.iterate.app` is for. */
  readonly grammar: Grammar
  /** The service that takes mail, by its name in the record or the grammar, or its port. Default `mail`. */
  readonly service?: string | number
  /** The path that mail is posted to. Default `/`. */
  readonly path?: string
  /** The largest message, in bytes, 1 to 104 857 600. A larger one is rejected. Default 26 214 400, which Cloudflare takes at most. */
  readonly maxBytes?: number
  /**
   * The project of an address outside the grammar, by its slug: `bot@example.com` for whoever it belongs to. `undefined`: nobody's, and
   * the mail is rejected. Default: none has one.
   */
  readonly resolve?: (address: string, mail: Mail) => string | undefined | Promise<string | undefined>
  /** Whether a mail may start a machine that sleeps. Default false: it waits until somebody else starts it. */
  readonly wake?: boolean | ((mail: Mail) => boolean | Promise<boolean>)
  /**
   * Where mail waits that could not be delivered, as {@link r2MailKeeper} keeps it. Without one it is a temporary failure, and whoever
   * sent it tries again: most mail servers for some days, Resend for about ten hours.
   */
  readonly keeper?: MailKeeper
  /** How long one delivery may take, in ms, 1 000 to 600 000. Default 30 000. */
  readonly timeoutMs?: number
  /** Hears of each mail. What it throws is ignored. */
  readonly onEvent?: (event: MailEvent) => void
}

/** What came of a mail. Holds no address, no subject and no content. */
export interface MailEvent {
  readonly type: "mail"
  readonly outcome: MailOutcome["outcome"]
  readonly id: string
  /** The project's hostname; absent where the recipient is nobody's. */
  readonly hostname?: string
  readonly via: Mail["via"]
  readonly bytes: number
  readonly durationMs: number
  /** Why, for everything but `delivered`. */
  readonly reason?: string
}

/** Takes mail and posts it to machines. */
export interface MailReceiver {
  readonly maxBytes: number
  /** Delivers one mail, or keeps it. Never rejects. */
  readonly receive: (mail: Mail, context?: MailContext) => Promise<MailOutcome>
  /** Tries again what the keeper has, `limit` mails at most (default 100): for a cron trigger. Rejects if the keeper cannot be read. */
  readonly retry: (
    options?: { readonly limit?: number },
    context?: MailContext,
  ) => Promise<{ readonly delivered: number; readonly rejected: number; readonly waiting: number }>
}

/** A Worker's context. */
export interface MailContext {
  readonly waitUntil?: (work: Promise<unknown>) => void
}

const MAX_BYTES = 26_214_400
const MAX_REDIRECTS = 3

/**
 * Delivers mail for projects to their machines: `anything@misha.iterate.app` is a `POST` of the whole message (`message/rfc822`) to the
 * service `mail` of project `misha`, with `x-iterate-mail-from`, `-to`, `-id` and `-via`, which no visitor can send. Policies decide
 * about visitors, not about mail: who mounts this lets everybody write to every project that has the service. An app accepts by any
 * 2xx, and refuses for good by a 4xx, whose first line of text the sender gets; with any other response, and without one, the mail
 * is tried again. Nothing is sent anywhere but to the machines of the router's own routes.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid
 *
 * @example
 * const mail = mailReceiver(router, { grammar, keeper: r2MailKeeper(env.MAIL) })
 */
export const mailReceiver = (router: Router, options: MailOptions): MailReceiver => {
  checkOptions("mailReceiver", options, checks, { required: ["grammar"] })
  const program = programOf(router)
  const { maxBytes = MAX_BYTES, keeper, onEvent, resolve } = options

  /** The hostname of a project's service for mail. */
  const hostnameOf = (slug: string, domain: string | undefined): string | undefined => {
    const { grammar, service = "mail" } = options
    const at = typeof service === "number" ? { port: service } : { service }
    const hostname = format(grammar, { kind: "project", slug, ...(domain === undefined ? {} : { domain }), ...at })
    return typeof hostname === "string" ? hostname : undefined
  }

  const hostnameFor = async (mail: Mail): Promise<string | undefined> => {
    const { grammar } = options
    const mailbox = parseEmail(grammar, mail.to)
    const named = mailbox._tag === "Mailbox" ? mailbox.target : undefined
    const slug = named?.slug ?? (mailbox._tag === "HostnameForeign" ? await resolve?.(mail.to, mail) : undefined)
    return slug === undefined ? undefined : hostnameOf(slug, named?.domain)
  }

  const attempt = async (
    mail: Mail,
    id: string,
    context: MailContext,
  ): Promise<MailOutcome & { hostname?: string }> => {
    if (mail.raw.length > maxBytes) return rejected(`the message is larger than ${maxBytes} bytes`)
    try {
      const hostname = await hostnameFor(mail)
      if (hostname === undefined) return rejected("there is no such address")
      return { hostname, ...(await post(hostname, mail, id, context)) }
    } catch {
      return { outcome: "failed", reason: "a hook of the platform failed" }
    }
  }

  const post = async (hostname: string, mail: Mail, id: string, context: MailContext): Promise<MailOutcome> => {
    const { wake = false, path = "/", timeoutMs = 30_000, grammar } = options
    const { family } = program.headerNames
    const delivery = {
      path,
      contentType: "message/rfc822",
      body: mail.raw,
      fields: Object.entries({ from: fieldValue(mail.from), to: fieldValue(mail.to), id, via: mail.via }).flatMap(
        ([name, value]) => [`${family}mail-${name}`, value],
      ),
      wake: typeof wake === "function" ? await wake(mail) : wake,
      waitUntil: (work: Promise<unknown>) => context.waitUntil?.(work),
    }
    let host = hostname
    for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
      const outcome = await deliver(program, { ...delivery, host, signal: AbortSignal.timeout(timeoutMs) })
      const moved = movedTo(outcome, grammar)
      if (moved === undefined) return mailOutcome(outcome)
      const next = hostnameOf(moved.slug, moved.domain)
      if (next === undefined) break
      host = next
    }
    return rejected("the project cannot be reached under its new name")
  }

  const report = (event: MailEvent): void => {
    try {
      onEvent?.(event)
    } catch {
      // A log that fails must not fail the mail.
    }
  }

  const settle = async (mail: Mail, id: string, context: MailContext, isKept: boolean): Promise<MailOutcome> => {
    const began = monotonicNow()
    const { hostname, ...tried } = await attempt(mail, id, context)
    const outcome: MailOutcome =
      tried.outcome === "failed" && isKept ? { outcome: "kept", reason: tried.reason } : tried
    report({
      type: "mail",
      ...outcome,
      id,
      ...(hostname === undefined ? {} : { hostname }),
      via: mail.via,
      bytes: mail.raw.length,
      durationMs: monotonicNow() - began,
    })
    return outcome
  }

  return {
    maxBytes,
    receive: async (mail, context = {}) => {
      const id = await mailId(mail)
      const isKept = keeper !== undefined && mail.raw.length <= maxBytes && (await succeeds(keeper.put(id, mail)))
      const outcome = await settle(mail, id, context, isKept)
      // Its sender hears of a rejection now, so that nobody needs it any more.
      if (isKept && outcome.outcome !== "kept") await succeeds(keeper.remove(id, "delivered"))
      return outcome
    },
    retry: async ({ limit = 100 } = {}, context = {}) => {
      if (keeper === undefined) throw new TypeError("retry needs the option keeper")
      const counts = { delivered: 0, rejected: 0, waiting: 0 }
      for (const id of await keeper.list(limit)) {
        const mail = await keeper.get(id)
        if (mail === undefined) continue
        const { outcome } = await settle(mail, id, context, true)
        if (outcome !== "delivered" && outcome !== "rejected") counts.waiting++
        else {
          counts[outcome]++
          await keeper.remove(id, outcome)
        }
      }
      return counts
    },
  }
}

const succeeds = (work: Promise<unknown>): Promise<boolean> =>
  work.then(
    () => true,
    () => false,
  )

/** An address as a field's value: what is not visible ASCII is percent-encoded as UTF-8, and so is `%`. */
const fieldValue = (address: string): string =>
  address
    .slice(0, 1_000)
    .replaceAll(/\p{Cs}/gu, "\ufffd")
    .replaceAll(/[^\x21-\x24\x26-\x7e]+/gu, encodeURIComponent)

const isService = (value: unknown): string | undefined =>
  typeof value === "string" && /^[a-z\d-]{1,63}$/.test(value)
    ? undefined
    : accept.integer(1, 65_535)(value) && "a service's name or a port"

const isKeeper = (value: unknown): string | undefined => {
  const methods = (value ?? {}) as Readonly<Record<string, unknown>>
  return ["put", "list", "get", "remove"].every((name) => typeof methods[name] === "function")
    ? undefined
    : "a mail keeper: an object with put, list, get and remove"
}

const checks = {
  grammar: (value: unknown) => (isGrammar(value) ? undefined : "what defineGrammar returns"),
  service: isService,
  path: (value: unknown) =>
    typeof value === "string" && /^\/[\x21-\x7e]*$/.test(value) ? undefined : "a path that begins with /",
  maxBytes: accept.integer(1, 104_857_600),
  resolve: accept.function,
  wake: (value: unknown) =>
    typeof value === "boolean" || typeof value === "function" ? undefined : "a boolean or a function",
  keeper: isKeeper,
  timeoutMs: accept.integer(1_000, 600_000),
  onEvent: accept.function,
}
