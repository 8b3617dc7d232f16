import { accept, checkOptions } from "@project-ingress/forward/internal"
import { Webhook } from "standardwebhooks"
import { readAtMost } from "./mail.ts"
import type { MailContext, MailReceiver } from "./mail-receiver.ts"

/** What {@link resendWebhook} takes beside the receiver. */
export interface ResendOptions {
  /** The webhook's signing secret, `whsec_…`. */
  readonly secret: string
  /** A key of Resend's API that may read received mail. */
  readonly apiKey: string
  /** Where the API is: an origin. Default `https://api.resend.com`. */
  readonly api?: string
  /** Where downloads may be: what their hostname must end with. Default `.resend.com`. */
  readonly downloads?: string
  /** Default: the runtime's. */
  readonly fetch?: typeof fetch
}

/** Larger than any event of theirs: an event has metadata only. */
const MAX_EVENT = 1_048_576
/** How long Resend's API and storage may take together, in ms. */
const DOWNLOAD_MS = 30_000

/**
 * Takes Resend's webhook `email.received`. The event is read only if its signature is valid and not older than five minutes; the
 * message itself is then fetched from their API. 200 if every recipient's mail was delivered, kept or rejected; 503 if one has to be
 * tried again, which Resend does; 400 and 401 for what is no event of theirs.
 *
 * @throws {TypeError} for an option that is unknown, missing or invalid; the message shows no secret
 *
 * @example
 * const webhook = resendWebhook(mail, { secret: env.RESEND_SECRET, apiKey: env.RESEND_KEY })
 */
export const resendWebhook = (
  receiver: MailReceiver,
  options: ResendOptions,
): ((request: Request, context?: MailContext) => Promise<Response>) => {
  checkOptions("resendWebhook", options, checks, { required: ["secret", "apiKey"] })
  const { secret, apiKey, api = "https://api.resend.com", downloads = ".resend.com" } = options
  const send = options.fetch ?? fetch
  const webhook = new Webhook(secret)

  /** The message, byte for byte. Throws for everything that may be different later. */
  const download = async (emailId: string): Promise<Uint8Array | undefined> => {
    const url = `${api}/emails/receiving/${encodeURIComponent(emailId)}`
    // `error` is a TypeError in Workers; a redirect that is not followed is no 2xx.
    const redirect = "manual"
    const signal = AbortSignal.timeout(DOWNLOAD_MS)
    const found = await send(url, { headers: { authorization: `Bearer ${apiKey}` }, redirect, signal })
    if (!found.ok) throw new Error(`Resend responded ${found.status}`)
    const { raw } = (await found.json()) as { readonly raw?: { readonly download_url?: unknown } | null }
    const at =
      typeof raw?.download_url === "string" && URL.canParse(raw.download_url) ? new URL(raw.download_url) : undefined
    // It must lead to their storage, and to nothing inside this network.
    if (at === undefined || at.protocol !== new URL(api).protocol || !at.hostname.endsWith(downloads)) {
      throw new Error("Resend named no download")
    }
    const message = await send(at, { redirect, signal })
    if (!message.ok || message.body === null) throw new Error(`Resend's storage responded ${message.status}`)
    return readAtMost(message.body, receiver.maxBytes)
  }

  return async (request, context) => {
    if (request.method !== "POST") return text(405, "POST only", { allow: "POST" })
    const body = request.body === null ? new Uint8Array() : await readAtMost(request.body, MAX_EVENT)
    if (body === undefined) return text(413, "the event is too large")
    const event = verified(webhook, new TextDecoder().decode(body), request.headers)
    if (event === undefined) return text(401, "the signature is not valid")
    const mail = receivedMail(event)
    if (mail === undefined) return text(isReceived(event) ? 400 : 200, "not a received mail")
    try {
      const raw = await download(mail.emailId)
      if (raw === undefined) return text(200, "the message is too large")
      const { from } = mail
      const outcomes = await Promise.all(
        mail.recipients.map((to) => receiver.receive({ from, to, raw, via: "resend" }, context)),
      )
      const failed = outcomes.some(({ outcome }) => outcome === "failed")
      return failed ? text(503, "not delivered yet", { "retry-after": "60" }) : text(200, "ok")
    } catch {
      return text(503, "the message could not be fetched", { "retry-after": "60" })
    }
  }
}

const text = (status: number, body: string, headers: Record<string, string> = {}): Response =>
  new Response(`${body}\n`, { status, headers: { "content-type": "text/plain", ...headers } })

/** The event, if it is signed. Resend signs by the Standard Webhooks scheme under Svix' older field names. */
const verified = (webhook: Webhook, body: string, headers: Headers): unknown => {
  const field = (name: string): string => headers.get(`svix-${name}`) ?? headers.get(`webhook-${name}`) ?? ""
  try {
    return webhook.verify(body, {
      "webhook-id": field("id"),
      "webhook-timestamp": field("timestamp"),
      "webhook-signature": field("signature"),
    })
  } catch {
    return undefined
  }
}

const isReceived = (event: unknown): boolean =>
  typeof event === "object" && event !== null && "type" in event && event.type === "email.received"

const MAX_RECIPIENTS = 50

/** What an event says of a mail; `undefined` for any other event. */
const receivedMail = (
  event: unknown,
): { readonly emailId: string; readonly from: string; readonly recipients: readonly string[] } | undefined => {
  if (!isReceived(event)) return undefined
  const { data } = event as { readonly data?: Readonly<Record<string, unknown>> | null }
  const { email_id: emailId, from, to, cc = [], bcc = [] } = data ?? {}
  const all: readonly unknown[] = [to, cc, bcc].flat()
  if (typeof emailId !== "string" || emailId === "" || typeof from !== "string") return undefined
  if (!all.every((each): each is string => typeof each === "string") || all.length > MAX_RECIPIENTS) return undefined
  return { emailId, from: addressIn(from), recipients: [...new Set(all.map(addressIn))] }
}

/** `Ann <ann@example.com>`: the address in the last angle brackets, else the whole text. */
const addressIn = (text: string): string => /<([^<>]*)>\s*$/.exec(text)?.[1] ?? text.trim()

const checks = {
  secret: (value: unknown) =>
    typeof value === "string" && /^whsec_[\w+/-]+=*$/.test(value) ? undefined : "a secret that begins with whsec_",
  apiKey: accept.string,
  api: (value: unknown) =>
    typeof value === "string" && URL.canParse(value) && new URL(value).origin === value ? undefined : "an origin",
  downloads: accept.string,
  fetch: accept.function,
}
