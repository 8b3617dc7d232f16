import type { ErrorRow } from "./error-row.ts"

/** What a request asked for, as far as its sender knows it: what a failure may name. All of it is untrusted text. */
export interface ErrorSubject {
  readonly hostname?: string | undefined
  /** 1 to 65535. */
  readonly port?: number | undefined
  /** The project's public name. */
  readonly project?: string | undefined
}

/** What happened, in one sentence, and what else there is to say, mostly what to do. Plain text of one line each. */
export interface ErrorText {
  readonly what: string
  readonly next: string
}

/** The text of a row about one request. `detail` is a sentence of untrusted text about it. */
export const errorText = ({ title }: ErrorRow, subject: ErrorSubject = {}, detail = ""): ErrorText => {
  // Split first: a name that a client sent may look like the end of a sentence.
  const end = title.indexOf(". ") + 1
  const [what, next] = end === 0 ? [title, ""] : [title.slice(0, end), title.slice(end + 1)]
  return { what: named(what, subject), next: [printable(detail), named(next, subject)].filter(Boolean).join(" ") }
}

const named = (text: string, { hostname, port, project }: ErrorSubject): string => {
  const names: Readonly<Record<string, string>> = {
    "{Port}": port === undefined ? "This port" : `Port ${port}`,
    "{port}": port === undefined ? "this port" : `port ${port}`,
    "{project}": project === undefined ? (hostname ?? "this project") : `project ${project}`,
    "{Hostname}": hostname ?? "This address",
    "{hostname}": hostname ?? "this address",
  }
  return text.replaceAll(/\{(?:[Pp]ort|project|[Hh]ostname)\}/g, (name) => printable(names[name]!))
}

/** Visible ASCII in one line, at most as long as a hostname: a terminal obeys control characters. */
const printable = (text: string): string => text.slice(0, 300).replaceAll(/[^\x20-\x7e]/g, "?")
