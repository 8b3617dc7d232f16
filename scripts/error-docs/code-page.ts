/** What is written by hand about one code. Its status, headers and message come from the rows of the packages. */
export interface CodePage {
  /** Why it happens: sentences of Markdown. */
  readonly cause: string
  /** What helps, the likeliest first: a list of sentences of Markdown. */
  readonly fix: readonly string[]
  /** Shell commands: what finds the cause or, with `reproduces`, what gets exactly this response. */
  readonly command: string
  /** True for a command that a test runs against a router and a machine, and that must get a response with this code. */
  readonly reproduces?: true
}

/** The pages of one package's codes, by code. */
export type CodePages = Readonly<Record<string, CodePage>>

/** A request to the router at 203.0.113.10, whatever DNS says of the hostname. */
export const ask = (hostname: string, more = "", path = "/"): string =>
  `curl -i ${more === "" ? "" : `${more} `}--resolve ${hostname}:443:203.0.113.10 'https://${hostname}${path}'`
