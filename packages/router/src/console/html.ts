import { escapedHtml } from "@project-ingress/forward/internal"

/** Text that is HTML already. What is not of this class is escaped wherever it is put in. */
export class Html {
  readonly text: string
  constructor(text: string) {
    this.text = text
  }
}

/** What may stand in a template: text and numbers are escaped, `undefined` is nothing. */
export type HtmlPart = Html | readonly Html[] | string | number | undefined

/** A template whose every part is escaped, in text and in quoted attributes; there is no way to put text in as it is. */
export const markup = (strings: TemplateStringsArray, ...parts: readonly HtmlPart[]): Html =>
  new Html(strings.reduce((text, string, at) => text + textOf(parts[at - 1]) + string))

const textOf = (part: HtmlPart): string => {
  if (part === undefined) return ""
  if (part instanceof Html) return part.text
  if (typeof part === "object") return part.map(({ text }) => text).join("")
  return escapedHtml(String(part))
}

/** Text of at most `max` characters, with a mark where it was cut. */
export const clipped = (text: string, max: number): string => (text.length <= max ? text : `${text.slice(0, max - 1)}…`)
