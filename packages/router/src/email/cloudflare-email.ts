import { readAtMost } from "./mail.ts"
import type { MailContext, MailReceiver } from "./mail-receiver.ts"

/** The part of Cloudflare's `ForwardableEmailMessage` that is used. */
export interface EmailMessage {
  readonly from: string
  readonly to: string
  readonly raw: ReadableStream<Uint8Array>
  readonly rawSize: number
  readonly setReject: (reason: string) => void
}

/**
 * The `email` handler of a Worker that Cloudflare Email Routing sends mail to. What is rejected is refused for good, with the reason; a
 * mail that nobody has yet makes the handler throw, which Cloudflare turns into a temporary failure: the sender's server tries again.
 *
 * @example
 * export default { fetch, email: emailHandler(mail) }
 */
export const emailHandler =
  (receiver: MailReceiver) =>
  async (message: EmailMessage, _environment?: unknown, context?: MailContext): Promise<void> => {
    const { from, to, raw, rawSize } = message
    const { maxBytes } = receiver
    const bytes = rawSize > maxBytes ? undefined : await readAtMost(raw, maxBytes)
    if (bytes === undefined) return message.setReject(`the message is larger than ${maxBytes} bytes`)
    const result = await receiver.receive({ from, to, raw: bytes, via: "cloudflare" }, context)
    if (result.outcome === "rejected") return message.setReject(result.reason)
    if (result.outcome === "failed") throw new Error(`the mail was not delivered: ${result.reason}`)
  }
