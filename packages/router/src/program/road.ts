import type { Capabilities } from "@project-ingress/providers"
import type { ProtocolNotCarried } from "../errors.ts"
import type { PortSettings } from "../stores/record.ts"

/** What a request is to be carried over, once per step of its way. */
export interface Road {
  readonly port: number
  readonly settings: PortSettings
  /** The provider's type. */
  readonly provider: string
  readonly carries: Capabilities["carries"]
  /** Whether it is a call of gRPC. */
  readonly isCall: boolean
  /** Of an app at its own address, once that is known. */
  readonly origin?: string | undefined
}

/** Why a request cannot be carried, before anything is sent. */
export type RefuseRoad = (road: Road) => ProtocolNotCarried | undefined
