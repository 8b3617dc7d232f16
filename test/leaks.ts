import { inspect } from "node:util"

/** Where a secret can be read from a value, however hidden: `JSON.stringify`, `util.inspect`, or a path of properties. Empty if nowhere. */
export const leaks = (name: string, value: unknown, secrets: readonly (string | RegExp)[]): string[] => {
  const holds = (text: string) =>
    secrets.some((secret) => (typeof secret === "string" ? text.includes(secret) : secret.test(text)))
  const printed = [
    ["JSON.stringify", json(value)],
    [
      "util.inspect",
      inspect(value, { depth: Infinity, showHidden: true, maxStringLength: Infinity, maxArrayLength: Infinity }),
    ],
    [
      "util.inspect with getters",
      inspect(value, { depth: Infinity, showHidden: true, getters: true, maxArrayLength: Infinity }),
    ],
    ["toString()", typeof value === "function" ? value.toString() : ""],
  ] as const
  return [
    ...printed.filter(([, text]) => holds(text)).map(([how]) => `${name}: ${how}`),
    ...reachable(name, value, holds),
  ]
}

const json = (value: unknown): string => {
  try {
    return JSON.stringify(value) ?? ""
  } catch {
    return "" // a circle
  }
}

/** The platform's own objects, which lead everywhere and to nothing of ours. */
const platform = new Set<unknown>(
  [globalThis, process, ...Object.getOwnPropertyNames(globalThis).map((each) => Reflect.get(globalThis, each))].flatMap(
    (each) => (typeof each === "function" ? [each, each.prototype] : [each]),
  ),
)

const reachable = (start: string, root: unknown, holds: (text: string) => boolean): string[] => {
  const seen = new Set<unknown>(platform)
  const found: string[] = []
  const queue: [path: string, value: unknown][] = [[start, root]]
  for (const [path, value] of queue) {
    if (typeof value === "string" && holds(value)) found.push(path)
    if (value === null || (typeof value !== "object" && typeof value !== "function") || seen.has(value)) continue
    seen.add(value)
    if (ArrayBuffer.isView(value)) {
      const bytes = Buffer.from(value.buffer, value.byteOffset, value.byteLength)
      if (holds(bytes.toString("latin1"))) found.push(`${path} (bytes)`)
      continue
    }
    if (value instanceof CryptoKey) {
      if (value.type !== "public" && value.extractable) found.push(`${path} (a key that can be exported)`)
      continue
    }
    queue.push(...members(path, value))
  }
  return found
}

/** Properties of any kind, inherited ones too, with the values of getters; the entries of maps and sets. */
const members = (path: string, value: object): [string, unknown][] => {
  const found: [string, unknown][] = []
  for (
    let at: object | null = value;
    at !== null && !platform.has(at);
    at = Object.getPrototypeOf(at) as object | null
  ) {
    for (const key of Reflect.ownKeys(at)) found.push([`${path}.${String(key)}`, read(at, key, value)])
  }
  const entries = value instanceof Map || value instanceof Set ? [...value].flat() : []
  return found.concat(entries.map((entry, at) => [`${path}[entry ${at}]`, entry]))
}

const read = (holder: object, key: PropertyKey, receiver: object): unknown => {
  try {
    return Reflect.get(holder, key, receiver)
  } catch {
    return undefined // a getter that throws shows nothing
  }
}
