/** A port on which an app listens, and where the visitor opens it. */
export interface ListeningLink {
  readonly port: number
  readonly url: string | undefined
}
