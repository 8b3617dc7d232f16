/** Where the page about each code of ours is. */
export const defaultErrorDocs = "https://github.com/iterate/project-ingress/blob/main/docs/errors/{code}.md"

/** The URL of the page about a code: `template` with the code in the place of `{code}`. */
export const errorDocsUrl = (template: string, code: string): string => template.replaceAll("{code}", code)

/** A template of URLs of pages about codes. A check for `checkOptions`. */
export const validErrorDocs = (value: unknown): string | undefined =>
  typeof value === "string" && /^https?:\/\/[\x21-\x7e]+$/.test(value) && value.includes("{code}")
    ? undefined
    : 'an http or https URL with "{code}" in it'
