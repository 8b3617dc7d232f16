import { responseHeaders } from "@project-ingress/forward"
import type { HeaderList, HopHeaderNames } from "@project-ingress/forward"
import { bodyOf, withoutEdgeCookies } from "@project-ingress/providers/internal"
import type { MachineResponse } from "../program/send-to-machine.ts"
import { headersFrom, listFrom } from "./header-lists.ts"

/** The fields of a machine's response for its visitor. */
export const visitorFields = (machine: MachineResponse<Response>, headerNames: HopHeaderNames): HeaderList => {
  const { response, status, stamped, edgeCookies, editResponse } = machine
  const hop = { headerNames, stamped, edgeCookies, add: [] }
  const list = responseHeaders(listFrom(response.headers), hop, { status, chunked: false })
  const header = (lowerName: string) => response.headers.get(lowerName) ?? undefined
  return editResponse === undefined ? list : editResponse({ status, header }, list)
}

/** RFC 9110 §15: responses that have no body, and for which `new Response` refuses one. */
const bodiless = new Set([204, 205, 304])

/** The machine's response for the visitor. A 101 keeps its socket. */
export const visitorResponse = (machine: MachineResponse<Response>, headerNames: HopHeaderNames): Response => {
  const { response, status, edgeCookies, editResponse } = machine
  if (status === 101 && editResponse === undefined) return withoutEdgeCookies(response, edgeCookies)
  const headers = headersFrom(visitorFields(machine, headerNames))
  const { statusText, webSocket = null } = response as Response & { readonly webSocket?: unknown }
  const body = bodiless.has(status) ? null : bodyOf(response)
  // A Worker's 101 is nothing without its socket; elsewhere nobody reads the member.
  const init = { status, statusText, headers, ...(status === 101 ? { webSocket } : {}) }
  return new Response(status === 101 ? null : body, init as ResponseInit)
}
