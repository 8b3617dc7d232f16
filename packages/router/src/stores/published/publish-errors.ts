/** A round of a publisher that has not published everything. What it has written is valid; the next round goes on. */
export class PublishFailed extends Error {
  readonly _tag = "PublishFailed"
  override readonly name = "PublishFailed"
  /** `kv`, `redis`. */
  readonly layer: string
  constructor(layer: string, reason: string, cause?: unknown) {
    super(`${layer}: ${reason}`, { cause })
    this.layer = layer
  }
}

/** Routes that look like those of a registry that has lost some: nothing that is stored was removed. Can be forced. */
export class PublishRefused extends Error {
  readonly _tag = "PublishRefused"
  override readonly name = "PublishRefused"
  readonly layer: string
  /** `smaller`: less than 85 % of the routes that are stored. `older`: earlier versions than those that are stored. */
  readonly reason: "smaller" | "older"
  constructor(layer: string, reason: "smaller" | "older", found: string) {
    super(`${layer}: the routes are refused: ${found}`)
    this.layer = layer
    this.reason = reason
  }
}
