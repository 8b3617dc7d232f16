import type { Capabilities } from "@project-ingress/providers"
import type { HeaderList } from "@project-ingress/forward"
import type { ProtocolNotCarried } from "../errors.ts"
import type { PortSettings } from "../stores/record.ts"

/** What a request is to be carried over. */
export interface Road {
  readonly request: { readonly headers: HeaderList }
  readonly port: number
  readonly settings: PortSettings
  /** The provider's type. */
  readonly provider: string
  readonly carries: Capabilities["carries"]
  /** Of an app at its own address, once that is known. */
  readonly origin?: string | undefined
}

/** Why a request cannot be carried, before anything is sent. */
export type RefuseRoad = (road: Road) => ProtocolNotCarried | undefined
