import type { ForwardErrorTag } from "@project-ingress/forward"
import { machineProxyErrors } from "../error-rows.ts"

/** The stable codes of the proxy's own responses: what its metrics may have as a label. */
export const codes: readonly string[] = Object.values(machineProxyErrors).map(({ code }) => code)

/** The label of a failure's tag: its stable code. */
export const tagLabel = (tag: ForwardErrorTag): string => machineProxyErrors[tag].code
