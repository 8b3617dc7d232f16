import { EngineFailure } from "./engine-failure.ts"

/** The versions of the Engine API that this adapter was written for; an engine reports the ones it supports. */
const NEWEST = [1, 56] as const
const OLDEST = [1, 40] as const

type Version = readonly [major: number, minor: number]

/**
 * The newest API version that both sides support, from the body of `GET /version`.
 *
 * @throws {EngineFailure} when the body is invalid or no version is shared
 */
export const sharedApiVersion = (body: string): string => {
  let response: { readonly ApiVersion?: unknown; readonly MinAPIVersion?: unknown } | null
  try {
    response = JSON.parse(body) as typeof response
  } catch {
    // The parser's error repeats a part of what it read.
    response = null
  }
  const newest = parse(response?.ApiVersion)
  if (newest === undefined) throw new EngineFailure("invalid response")
  const oldest = parse(response?.MinAPIVersion) ?? OLDEST
  const shared = isBefore(NEWEST, newest) ? NEWEST : newest
  if (isBefore(shared, OLDEST) || isBefore(shared, oldest)) {
    const cause = new Error(`the Docker Engine supports no API version from ${OLDEST.join(".")} to ${NEWEST.join(".")}`)
    throw new EngineFailure("API_VERSION", { cause })
  }
  return shared.join(".")
}

/**
 * Whether a response refuses the API version of its request, because the engine was replaced since it was asked. The text is
 * JSON in one case and plain in the other.
 */
export const refusesApiVersion = ({ status, body }: { readonly status: number; readonly body: string }): boolean =>
  status === 400 && /is too (?:old|new)/.test(body)

const parse = (text: unknown): Version | undefined => {
  const found = typeof text === "string" ? /^(\d+)\.(\d+)$/.exec(text) : null
  return found === null ? undefined : [Number(found[1]), Number(found[2])]
}

const isBefore = (a: Version, b: Version): boolean => a[0] < b[0] || (a[0] === b[0] && a[1] < b[1])
