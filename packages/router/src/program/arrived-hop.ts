/** A router of one region was sent something by another that it does not believe, or that its own records contradict. */
export interface RegionEvent {
  readonly type: "region"
  /**
   * `hop_refused`: a request named itself a hop and is not a valid one; it is served as its client's own. `disagreement`: a
   * request came by a hop, and the record here names another region; it is 508 or 502.
   */
  readonly outcome: "hop_refused" | "disagreement"
  /** A sentence for logs. Holds no value of the request. */
  readonly reason: string
  /** How often it happened since the last event of this kind, which comes once a second at most. */
  readonly count: number
}

/** What a valid hop says of its request: who asked, and for what. */
export interface ArrivedHop {
  /** The region that the request came from. */
  readonly from: string
  /** How often the request was sent from region to region, 1 to 3. */
  readonly hops: number
  /** The request's id in the region that it came from. */
  readonly requestId: string
  /** The visitor's authority. */
  readonly host: string
  readonly scheme: "http" | "https"
  readonly clientAddress: string | undefined
  /** The port that the visitor's connection was accepted on. */
  readonly localPort: number | undefined
}

/** A request as it arrived, before anything is believed of it. */
export interface HopRequest {
  readonly method: string
  readonly path: string
  /** Reads a field's first line, by lower-case name. */
  readonly header: (lowerName: string) => string | undefined
}
