/** The process did not become ready in time, or ended before it was. It runs no more, and there is no PID file. */
export class FrontNotReady extends Error {
  readonly _tag = "FrontNotReady"
  override readonly name = "FrontNotReady"
  readonly command: string
  constructor(fields: { readonly command: string; readonly reason: string; readonly cause?: unknown }) {
    super(`${fields.command} ${fields.reason}`, { cause: fields.cause })
    this.command = fields.command
  }
}

/** Something responds at the admin API's address, and is not the process of the PID file. Nothing was started or stopped. */
export class AdminInUse extends Error {
  readonly _tag = "AdminInUse"
  override readonly name = "AdminInUse"
  readonly url: string
  constructor(fields: { readonly url: string }) {
    super(`another process responds at ${fields.url}, and the PID file is not of it`)
    this.url = fields.url
  }
}
