import { accept, checkOptions } from "@project-ingress/forward/internal"
import { isObject } from "../shape.ts"
import { leastRoutes } from "../shrink.ts"
import { imageBytes, partsOf, verifiedHead } from "./head.ts"
import type { Head } from "./head.ts"
import { PackedImage } from "./packed-image.ts"
import { PackedRefused } from "./refused.ts"
import { isTemplate } from "./template.ts"
import type { Template } from "./template.ts"
import { turns } from "../turns.ts"

/** How an image is opened. */
export interface OpenPackedOptions {
  /** The image in use. What is opened must be newer, and not more than 15 % smaller. */
  readonly previous?: PackedImage | undefined
  /** True: also an image that is empty, older or much smaller than the previous one. Never a damaged one. Default false. */
  readonly force?: boolean
  /** The largest image, in bytes. Default 2^31: set it lower where memory is small, as in Workers. */
  readonly maxBytes?: number
}

/**
 * Opens an image of `packRoutes`: all at once, or as the chunks of a file or of a response come in. Compares each slice with its
 * checksum and lets others run in between. An image that is given as one piece is used where it lies: do not change it.
 *
 * @throws {PackedRefused} for an image that is empty, truncated, damaged, of another version of the format, older than the
 * previous one (as a whole, or any route of it), or more than 15 % smaller
 * @throws {TypeError} for options that it does not have
 */
export const openPacked = async (
  source: Uint8Array | Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  options: OpenPackedOptions = {},
): Promise<PackedImage> => {
  checkOptions("openPacked", options, {
    previous: accept.object,
    force: accept.boolean,
    maxBytes: accept.integer(1),
  })
  const { previous, force = false, maxBytes = 2 ** 31 } = options
  const turn = turns()
  const bytes = source instanceof Uint8Array ? source : await gather(source, maxBytes)
  checkSize(bytes.length, maxBytes)
  if (bytes.length === 0) throw new PackedRefused("empty", "bytes", "more than 0")
  const head = await verifiedHead(bytes, turn)
  const { templates, strings } = dictionaryOf(bytes, head)
  const image = new PackedImage(bytes, head, templates, strings)
  if (force) return image
  if (previous !== undefined) checkNewer(image, previous)
  checkCount(image.routes, previous?.routes ?? 0)
  if (previous === undefined) return image
  for (let slot = 0; slot < image.slots; slot++) {
    const versions = image.versionsOf(slot, previous)
    // The builder's clock may be wrong, or its source a replica that lags: a route that goes back shows it.
    if (versions !== undefined) checkVersion(versions.own, versions.other)
    if (turn.isOver()) await turn.next()
  }
  return image
}

/**
 * @throws {PackedRefused} for an image that was built before the previous one
 */
export const checkNewer = (image: PackedImage, previous: PackedImage): void => {
  if (image.builtAt < previous.builtAt)
    throw new PackedRefused("older", "builtAt", `at least ${previous.builtAt}, got ${image.builtAt}`)
}

/**
 * @throws {PackedRefused} for routes that look like those of a source that has lost some
 */
export const checkCount = (routes: number, previous: number): void => {
  if (routes === 0) throw new PackedRefused("empty", "routes", "more than 0")
  checkShrink(routes, previous)
}

/**
 * @throws {PackedRefused} for routes that are more than 15 % fewer
 */
export const checkShrink = (routes: number, previous: number): void => {
  const least = leastRoutes(previous)
  if (routes < least)
    throw new PackedRefused("smaller", "routes", `at least ${least}, 85 % of the previous ones, got ${routes}`)
}

/**
 * @throws {PackedRefused} for a route that goes back
 */
export const checkVersion = (version: number, previous: number): void => {
  if (version < previous)
    throw new PackedRefused("older", "version", `at least ${previous} for each key, got ${version}`)
}

/** One piece of memory from chunks, allocated once the first of them say how much. */
const gather = async (
  chunks: Iterable<Uint8Array> | AsyncIterable<Uint8Array>,
  maxBytes: number,
): Promise<Uint8Array> => {
  let bytes = new Uint8Array(0)
  let at = 0
  let isAllocated = false
  for await (const chunk of chunks) {
    if (at + chunk.length > bytes.length) {
      if (isAllocated) throw new PackedRefused("format", "bytes", `${bytes.length}, got more`)
      const begun = new Uint8Array(at + chunk.length)
      begun.set(bytes)
      bytes = begun
    }
    bytes.set(chunk, at)
    at += chunk.length
    const total = isAllocated ? undefined : imageBytes(bytes)
    if (total === undefined) continue
    checkSize(total, maxBytes)
    if (at > total) throw new PackedRefused("format", "bytes", `${total}, got more`)
    const whole = new Uint8Array(total)
    whole.set(bytes)
    bytes = whole
    isAllocated = true
  }
  return bytes.subarray(0, at)
}

const checkSize = (size: number, maxBytes: number): void => {
  if (size > maxBytes) throw new PackedRefused("too large", "bytes", `at most ${maxBytes}, got ${size}`)
}

const dictionaryOf = (bytes: Uint8Array, head: Head): { templates: Template[]; strings: string[] } => {
  const { dictionary, entries } = partsOf(head)
  let parsed: unknown
  try {
    parsed = JSON.parse(new TextDecoder().decode(bytes.subarray(dictionary, entries)))
  } catch {
    // Said below.
  }
  const { templates, strings } = isObject(parsed) ? parsed : {}
  if (!Array.isArray(templates) || !templates.every((each) => isTemplate(each)))
    throw new PackedRefused("format", "dictionary.templates", "templates")
  if (!Array.isArray(strings) || !strings.every((each) => typeof each === "string"))
    throw new PackedRefused("format", "dictionary.strings", "strings")
  return { templates, strings }
}
