import { parse } from "@project-ingress/hostname"
import type { Grammar } from "@project-ingress/hostname"
import type { DeliveryOutcome } from "../hosts/deliver.ts"

/** What came of a mail, and why. */
export type MailOutcome =
  | { readonly outcome: "delivered" }
  /** For good: nobody's address, too large, or refused by the app. `reason` is for the sender, in visible ASCII. */
  | { readonly outcome: "rejected"; readonly reason: string }
  /** Not now, and the keeper has it. */
  | { readonly outcome: "kept"; readonly reason: string }
  /** Not now, and nobody has it: the sender has to try again. */
  | { readonly outcome: "failed"; readonly reason: string }

export const rejected = (reason: string): MailOutcome => ({ outcome: "rejected", reason })

/**
 * The project that a record says this one is now, if it is under the grammar's domains. Not its hostname: whoever writes a redirect would choose
 * the port or machine of anybody that mail, which no policy decides about, is posted to.
 */
export const movedTo = (
  outcome: DeliveryOutcome,
  grammar: Grammar,
): { readonly slug: string; readonly domain: string | undefined } | undefined => {
  if (outcome._tag !== "Generated") return undefined
  const { headers } = outcome.response
  const at = headers.findIndex((name, i) => i % 2 === 0 && name.toLowerCase() === "location")
  const location = at === -1 ? undefined : headers[at + 1]!
  if (location === undefined || !URL.canParse(location)) return undefined
  const target = parse(grammar, new URL(location).hostname)
  return target._tag === "Target" && target.kind === "project" && target.slug !== undefined
    ? { slug: target.slug, domain: target.domain }
    : undefined
}

/** Statuses of a response that may be another one later (RFC 9110 §15.5.9, RFC 8470, RFC 6585 §4). */
const TEMPORARY: ReadonlySet<number> = new Set([408, 425, 429])

/** What a delivery comes to for the mail. Reads the first line of a response, and no more. */
export const mailOutcome = async (delivered: DeliveryOutcome): Promise<MailOutcome> => {
  if (delivered._tag === "Machine") return appOutcome(delivered)
  if (delivered._tag === "ClientLeft") return { outcome: "failed", reason: "the delivery took too long" }
  const isNobody = delivered._tag !== "Failed" || [404, 410].includes(delivered.response.status)
  return isNobody ? rejected("there is no such address") : { outcome: "failed", reason: delivered.error._tag }
}

const appOutcome = async ({
  status,
  response,
  code,
}: Extract<DeliveryOutcome, { readonly _tag: "Machine" }>): Promise<MailOutcome> => {
  const text = await firstLine(response)
  if (status >= 200 && status < 300) return { outcome: "delivered" }
  if (code === undefined && status >= 400 && status < 500 && !TEMPORARY.has(status)) {
    return rejected(text === "" ? `the address does not take this message (${status})` : text)
  }
  return { outcome: "failed", reason: code ?? `the app responded ${status}` }
}

const MAX_LINE = 200

/** The first line of a response in plain text, in visible ASCII, at most 200 characters. */
const firstLine = async (response: Response): Promise<string> => {
  const isText = response.headers.get("content-type")?.startsWith("text/plain") === true
  const reader = response.body?.getReader()
  const read = isText ? await reader?.read().catch(() => undefined) : undefined
  reader?.cancel().catch(() => {})
  const text = read?.value === undefined ? "" : new TextDecoder().decode(read.value.subarray(0, 1_024))
  return /^[^\r\n]*/
    .exec(text)![0]
    .replaceAll(/[^\x20-\x7e]/g, "?")
    .slice(0, MAX_LINE)
    .trim()
}
