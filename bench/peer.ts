/** Where a peer listens, and which two apps it forwards to. */
export interface Place {
  /** For configuration; removed at the end. */
  readonly directory: string
  readonly port: number
  /** For the one peer that cannot choose between the two origins by itself. */
  readonly webSocketPort: number
  readonly origin: number
  readonly webSocketOrigin: number
  /** How many files a process of the run may open. */
  readonly openFiles: number
  /** Public keys as JSON. */
  readonly keys: string
  /** The machine that tickets are for. */
  readonly machine: string
}

/** A process to start. */
export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A proxy that is measured. */
export interface Peer {
  readonly name: string
  readonly command: (place: Place) => Command
  /** A program that must be installed, and the Debian package that has it. */
  readonly needs?: { readonly program: string; readonly debian: string }
  /** Whether it passes WebSockets on. */
  readonly webSocket: boolean
  readonly ownWebSocketPort?: true
  /** Measured only when `--only` names it. */
  readonly onDemand?: true
}
