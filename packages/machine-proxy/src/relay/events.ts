/** What {@link connectRelay} reports. No secret and no token is in it. */
export type RelayEvent =
  | { readonly type: "connected" }
  /** The connection ended, or was ended for want of a sign of life (`code` 1006). */
  | { readonly type: "lost"; readonly code: number; readonly reason: string; readonly retryMs: number }
  /** No connection came about. `status`: what the relay responded; without one it was not reached. */
  | {
      readonly type: "refused"
      readonly status: number | undefined
      readonly reason: string
      readonly retryMs: number
    }
  /** Another process has connected as this machine: it has the requests now, and this one waits until it is gone. */
  | { readonly type: "replaced"; readonly retryMs: number }
  | { readonly type: "stopped" }
