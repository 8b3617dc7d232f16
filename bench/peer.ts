/** Where a peer listens, and which two apps it reaches. */
export interface PeerSetup {
  /** For configuration; removed at the end. */
  readonly directory: string
  readonly port: number
  /** For a peer that cannot choose between the two apps by itself. */
  readonly webSocketPort: number
  readonly origin: number
  readonly webSocketOrigin: number
  /** What a process of the run may open. */
  readonly openFiles: number
  /** Public keys as JSON. */
  readonly keys: string
  /** The key that signs tickets, as JSON. */
  readonly signingKey: string
  /** The machine that tickets are for. */
  readonly machine: string
  /** Where that machine's proxy listens, for a router in front of it; otherwise 0. */
  readonly machinePort: number
}

/** How a peer is started. */
export interface Command {
  readonly file: string
  readonly args: readonly string[]
  readonly env?: Readonly<Record<string, string>>
}

/** A proxy to measure. */
export interface Peer {
  readonly name: string
  readonly command: (setup: PeerSetup) => Command
  /** A program that must be installed, and the Debian package that has it. */
  readonly needs?: { readonly program: string; readonly debian: string }
  /** Whether it passes WebSockets on. */
  readonly webSocket: boolean
  readonly ownWebSocketPort?: true
  /** Measured only when `--only` names it. */
  readonly onDemand?: true
}
