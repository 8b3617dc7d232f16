/**
 * Prism as a proxy in front of a fake: checks every request and answer against an OpenAPI file. It has 70 MB of dependencies,
 * so nobody installs it with the workspace: `pnpm test:all` fetches it once, into node_modules/.cache.
 */
import { execFile, spawn } from "node:child_process"
import { once } from "node:events"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rename, rm } from "node:fs/promises"
import { join } from "node:path"
import { promisify } from "node:util"
import { listen } from "./http.ts"

const VERSION = "5.16.0"
const cache = join(import.meta.dirname, "../../../../node_modules/.cache")
const folder = join(cache, `prism-${VERSION}`)
const program = join(folder, "node_modules/@stoplight/prism-cli/dist/index.js")

/** Why there is no Prism, or `undefined` when there is one. `pnpm test:all` fetches it, or throws. */
export const prismMissing = async (): Promise<string | undefined> => {
  if (existsSync(program)) return undefined
  if (process.env["INGRESS_ALL"] !== "1") return "Prism is not fetched: pnpm test:all does"
  console.log(`fetches Prism ${VERSION}`)
  await mkdir(cache, { recursive: true })
  // Moved when it is whole: two test files may fetch it at once.
  const whole = await mkdtemp(join(cache, "prism-"))
  const options = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", whole]
  try {
    await promisify(execFile)("npm", ["install", ...options, `@stoplight/prism-cli@${VERSION}`], { timeout: 180_000 })
    await rename(whole, folder)
  } catch (error) {
    await rm(whole, { recursive: true, force: true })
    if (!existsSync(program)) throw error
  }
  return undefined
}

export interface Violation {
  readonly severity: string
  readonly message: string
  readonly location?: readonly string[]
}

export interface Prism {
  readonly origin: string
  /** What it found in the answers that this `fetch` got, which is the one to give to an adapter. */
  readonly violations: Violation[]
  readonly fetch: typeof fetch
  readonly close: () => Promise<void>
}

/** Stands before `upstream`, an origin without a path, and turns what violates the file into failures. */
export const prismProxy = async (openapi: string, upstream: string): Promise<Prism> => {
  // It cannot say which port it took.
  const { port, close } = await listen(() => {})
  await close()
  const args = [program, "proxy", "--errors", "--host", "127.0.0.1", "--port", String(port), openapi, upstream]
  const child = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "pipe"] })
  let said = ""
  const listening = new Promise<void>((resolve, reject) => {
    const hear = (text: Buffer): void => {
      said += text.toString()
      if (said.includes("Prism is listening")) resolve()
    }
    child.stdout.on("data", hear)
    child.stderr.on("data", hear)
    child.once("error", reject)
    child.once("exit", (code) => reject(new Error(`Prism ended with ${code}\n${said}`)))
  })
  await listening
  const violations: Violation[] = []
  return {
    origin: `http://127.0.0.1:${port}`,
    violations,
    fetch: async (input, init) => {
      const answer = await fetch(input, init)
      const found = answer.headers.get("sl-violations")
      if (found !== null) violations.push(...(JSON.parse(found) as Violation[]))
      // Of a request that it refuses, it says so in the body alone.
      else if (answer.headers.get("content-type")?.startsWith("application/problem+json") === true) {
        violations.push({ severity: "Error", message: await answer.clone().text() })
      }
      return answer
    },
    async close() {
      if (child.exitCode !== null) return
      child.kill()
      await once(child, "exit")
    },
  }
}
