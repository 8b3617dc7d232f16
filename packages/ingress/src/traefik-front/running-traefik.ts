import { setTimeout as sleep } from "node:timers/promises"
import { parseYaml } from "../documents/parse-yaml.ts"
import type { GeneratedFile } from "../fronts/front.ts"
import { mapOf } from "../traefik/check/read-labels.ts"

/** How Traefik is asked what it runs. */
export interface ApiOptions {
  /** `http://127.0.0.1:8081` */
  readonly url: string
  /** How long Traefik may take to read changed files, in ms. Default 10 000. */
  readonly timeoutMs?: number
  readonly fetch?: typeof fetch
}

/** Resolves once Traefik runs the routers of these files, and no others that an export made. Rejects if that does not come true in time. */
export const routersTaken = async (
  files: readonly GeneratedFile[],
  { url, timeoutMs = 10_000, fetch: request = fetch }: ApiOptions,
  signal: AbortSignal,
): Promise<void> => {
  const wanted = wantedRouters(files)
  const deadline = performance.now() + timeoutMs
  for (let pauseMs = 50; ; pauseMs = Math.min(pauseMs * 2, 1_000)) {
    const problem = await difference(wanted, url, request, signal)
    if (problem === undefined) return
    if (performance.now() >= deadline) throw new Error(`traefik does not run what was written: ${problem}`)
    await sleep(pauseMs, undefined, { signal })
  }
}

/** How long one request may take, in ms. */
const REQUEST_MS = 5_000

type Routers = ReadonlyMap<string, string | undefined>

/** The names of routers that `exportTraefik` gives. */
const EXPORTED = / [a-z\d-]+_(?:\d+(?:_deny|_redirect)?|unmatched_\d+)$/

const SECTIONS = { http: "routers", tcp: "tcpRouters", udp: "udpRouters" } as const

/** The rule of each router by `http api_0`. */
const wantedRouters = (files: readonly GeneratedFile[]): Routers => {
  const wanted = new Map<string, string | undefined>()
  for (const { path, text } of files) {
    if (!path.startsWith("traefik/dynamic/")) continue
    const parsed = parseYaml(text)
    if (!("document" in parsed)) continue
    for (const protocol of ["http", "tcp", "udp"] as const) {
      const routers = mapOf(mapOf(mapOf(parsed.document)[protocol])["routers"])
      for (const [name, router] of Object.entries(routers)) {
        wanted.set(`${protocol} ${name}`, mapOf(router)["rule"] as string | undefined)
      }
    }
  }
  return wanted
}

const difference = async (
  wanted: Routers,
  url: string,
  request: typeof fetch,
  signal: AbortSignal,
): Promise<string | undefined> => {
  let running: Readonly<Record<string, unknown>>
  try {
    const response = await request(new URL("/api/rawdata", url), {
      signal: AbortSignal.any([signal, AbortSignal.timeout(REQUEST_MS)]),
      redirect: "error",
    })
    if (!response.ok) return `its API responds with ${response.status}`
    running = mapOf(await response.json())
  } catch {
    signal.throwIfAborted()
    return "its API does not respond"
  }
  const left = new Set(wanted.keys())
  for (const [protocol, section] of Object.entries(SECTIONS)) {
    for (const [qualified, router] of Object.entries(mapOf(running[section]))) {
      if (!qualified.endsWith("@file")) continue
      const name = `${protocol} ${qualified.slice(0, -"@file".length)}`
      const { rule, status } = mapOf(router)
      if (!wanted.has(name)) {
        // The folder may have files that nobody generated.
        if (EXPORTED.test(name)) return `the router ${name} is still there`
        continue
      }
      if (wanted.get(name) !== undefined && wanted.get(name) !== rule) return `the router ${name} has another rule`
      // A router that it cannot carry out is there, and disabled.
      if (status !== undefined && status !== "enabled") return `the router ${name} is not enabled`
      left.delete(name)
    }
  }
  const [first] = left
  return first === undefined ? undefined : `the router ${first} is not there`
}
