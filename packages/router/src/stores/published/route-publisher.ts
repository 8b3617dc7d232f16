/** What a round has done. */
export interface PublishResult {
  /** `all`: all routes were compared with what is stored. `changes`: changes since the last round. */
  readonly round: "all" | "changes"
  /** How many entries were written, removals among them. */
  readonly written: number
  /** True when more can be published at once. */
  readonly more: boolean
}

/**
 * Keeps the routes of a feed where routers read them. How far it has come is stored beside them, once they are written: a publisher
 * that dies in between, or never comes back, loses nothing, and the next one goes on.
 */
export interface RoutePublisher {
  /**
   * One round: what has changed, or all routes where the feed has a gap, nothing is published yet, or `compareMs` are over. For a
   * Worker's schedule. `waitMs`: how long to wait for a change while there is none, at most 60 000; default 0.
   *
   * @throws {PublishFailed} if something could not be written, after retries. The rest was; the next round tries the same again
   * @throws {PublishRefused} as `publishAll` does
   * @throws whatever the feed rejects with, and the signal's reason
   */
  sync(options?: { readonly waitMs?: number; readonly signal?: AbortSignal }): Promise<PublishResult>
  /**
   * Compares all routes with what is stored: writes what is newer and removes what is no longer there.
   *
   * @throws {PublishRefused} if the feed has less than 85 % of the routes that are stored, or earlier versions of some: then
   * nothing is removed. `force: true` publishes it nevertheless
   */
  publishAll(options?: { readonly force?: boolean; readonly signal?: AbortSignal }): Promise<PublishResult>
  /** Rounds until the signal is aborted, with a pause after one that fails: for a process. Then it resolves. */
  run(options: { readonly signal: AbortSignal }): Promise<void>
}
