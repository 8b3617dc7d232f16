import { resolve } from "node:path"
import { pathToFileURL } from "node:url"
import type { Explanation } from "../../program/explanation.ts"
import type { Router } from "../../router-options.ts"
import { readConsole } from "../read-console.ts"
import type { ConsoleAccess } from "../read-console.ts"

/** Who explains: the router that a module of the platform exports, or one that runs, by its console. */
export type Explainer = { readonly config: string } | { readonly console: ConsoleAccess; readonly timeoutMs: number }

/** What is explained. */
export interface ExplainArguments {
  readonly hostname: string
  readonly path?: string | undefined
  readonly method?: string | undefined
  readonly policies: boolean
  readonly status: boolean
}

/** Explains a hostname. A text says why it cannot be explained. */
export const explainHostname = async (asked: ExplainArguments, by: Explainer): Promise<Explanation | string> =>
  "config" in by ? byConfig(asked, by.config) : byConsole(asked, by.console, by.timeoutMs)

const byConsole = async (
  { hostname, path, policies }: ExplainArguments,
  access: ConsoleAccess,
  timeoutMs: number,
): Promise<Explanation | string> => {
  const url = new URL(access.url)
  if (path !== undefined) url.searchParams.set("path", path)
  if (policies) url.searchParams.set("policies", "1")
  const read = await readConsole({ ...access, url }, hostname, timeoutMs)
  if ("problem" in read) return read.problem
  return read.data.explanation ?? "the console explained nothing"
}

const byConfig = async (
  { hostname, path, method, policies, status }: ExplainArguments,
  config: string,
): Promise<Explanation | string> => {
  let exported: { readonly router?: unknown }
  try {
    exported = (await import(pathToFileURL(resolve(config)).href)) as typeof exported
  } catch (cause) {
    // Its stack would show whatever stands there.
    return `${config} cannot be imported: ${(cause as Error).message.split("\n")[0]}`
  }
  const { router } = exported
  if (!isRouter(router)) return `${config} must export router, which is what createRouter returned`
  try {
    return await router.explain(hostname, {
      policies,
      status,
      ...(path === undefined ? {} : { path }),
      ...(method === undefined ? {} : { method }),
    })
  } finally {
    await router.dispose()
  }
}

// By its shape: the platform's own copy of this package made it.
const isRouter = (value: unknown): value is Router =>
  typeof value === "object" &&
  value !== null &&
  "explain" in value &&
  typeof value.explain === "function" &&
  "dispose" in value &&
  typeof value.dispose === "function"
