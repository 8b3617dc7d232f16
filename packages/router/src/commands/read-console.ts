import type { ConsoleData } from "../console/console-data.ts"

/** A console, and what lets in. */
export interface ConsoleAccess {
  readonly url: URL
  /** Sent as `Authorization: Bearer`. */
  readonly token: string | undefined
}

const MAX_BODY = 10_000_000

/** What a console's JSON says of a hostname or URL, or why it cannot be had, as a sentence without its full stop. Never shows the token. */
export const readConsole = async (
  { url, token }: ConsoleAccess,
  hostname: string,
  timeoutMs: number,
): Promise<{ readonly data: ConsoleData } | { readonly problem: string }> => {
  const asked = new URL(url)
  asked.searchParams.set("hostname", hostname)
  asked.searchParams.set("format", "json")
  const headers = { accept: "application/json", ...(token === undefined ? {} : { authorization: `Bearer ${token}` }) }
  let response
  let text
  try {
    response = await fetch(asked, { headers, redirect: "manual", signal: AbortSignal.timeout(timeoutMs) })
    text = await response.text()
  } catch (cause) {
    const { code, name } = ((cause as Error).cause ?? cause) as { readonly code?: string; readonly name?: string }
    return { problem: `the console cannot be reached (${code ?? name ?? "unknown"})` }
  }
  if (response.status !== 200) return { problem: `the console responded with ${response.status}` }
  try {
    const data: unknown = text.length > MAX_BODY ? undefined : JSON.parse(text)
    if (typeof data === "object" && data !== null && "scope" in data) return { data: data as ConsoleData }
  } catch {
    // Said below.
  }
  return { problem: "the console did not respond with its JSON" }
}
