import type { RouteKey, RouteRecord } from "../record.ts"
import type { PackedImage } from "./packed-image.ts"

/** The record in a slot that `find` of the image gave for the key: the same object each time while it is kept. */
export type UnpackedRecords = (slot: number, key: RouteKey) => RouteRecord

/** How many records a store keeps unpacked by default. */
export const UNPACKED = 16_384

/** Keeps records of an image that were looked up: at most `limit`, in pairs, so that an odd number counts as one less. */
export const unpackedRecords = (image: PackedImage, limit: number): UnpackedRecords => {
  const half = Math.floor(limit / 2)
  if (half === 0) return (slot, key) => image.recordOf(slot, key)
  // In pairs, by slot: a record that was looked up takes the place of the older of two whose slots have the same rest.
  const slots = new Uint32Array(half * 2)
  const records: (RouteRecord | undefined)[] = Array.from({ length: half * 2 }, () => undefined)
  return (slot, key) => {
    const place = (slot % half) * 2
    const first = records[place]
    if (first !== undefined && slots[place] === slot) return first
    const second = records[place + 1]
    const record = second !== undefined && slots[place + 1] === slot ? second : image.recordOf(slot, key)
    slots[place + 1] = slots[place]!
    records[place + 1] = first
    slots[place] = slot
    records[place] = record
    return record
  }
}
