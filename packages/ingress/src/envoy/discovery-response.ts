import { typed } from "./json.ts"
import type { Message } from "./json.ts"

/** The content of a file that Envoy watches. Its version changes with the resources, and with nothing else. */
export const discoveryResponse = (type: string, resources: readonly Message[]): Message => ({
  version_info: contentHash(JSON.stringify(resources)),
  resources: resources.map((resource) => typed(type, resource)),
})

/** 64 bits of FNV-1a's kind: to tell two versions apart, not against anybody who would like them to be the same. */
export const contentHash = (text: string): string => {
  let [a, b] = [0x811c9dc5, 0x9dc5811c]
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at)
    a = Math.imul(a ^ unit, 0x01000193)
    b = Math.imul(b ^ unit, 0x5bd1e995) ^ (a >>> 13)
  }
  return [a, b].map((half) => (half >>> 0).toString(16).padStart(8, "0")).join("")
}
