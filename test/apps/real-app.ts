import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import type { PortSettings } from "@project-ingress/router"
import type { Page } from "playwright-core"
import type { ChainHost } from "./chain.ts"
import type { RunningProcess } from "./process.ts"

/** What a visitor does with an app; a column of words in docs/frameworks.md. */
export type Kind = "page" | "form" | "redirect" | "cookie" | "hot reload" | "WebSocket" | "streaming" | "upload"

/** An app that somebody else wrote or whose framework did, started as its own scaffold starts it. */
export interface RealApp {
  /** As docs/frameworks.md calls it. */
  readonly name: string
  readonly version: string
  /** What tells the version of a program that comes from the system and not from npm. */
  readonly versionCommand?: readonly [program: string, ...args: string[]]
  /** How it was started, `$PORT` for the port. */
  readonly command: string
  /** What the record of its port says. Empty: the defaults. */
  readonly settings: PortSettings
  /** Why it cannot run on this computer. */
  readonly missing?: () => string | undefined
  /** The folder below `fixtures` that holds its sources. Default: it has none. */
  readonly fixture?: string
  /** Starts it in a folder of its own, which holds a copy of its fixture. */
  readonly start: (folder: string) => Promise<RunningProcess>
  readonly checks: readonly Check[]
  /** What depends on the names that it reads, and what comes of it with each. */
  readonly probes: readonly Probe[]
}

/** One claim about an app. It holds behind each host, and leaves the app as it was. */
export interface Check {
  readonly kinds: readonly Kind[]
  readonly claim: string
  readonly run: (visit: Visit) => Promise<void>
}

/** An app, reached through one host. */
export interface Visit {
  readonly app: RunningProcess
  /** Where the app runs. */
  readonly folder: string
  readonly host: ChainHost
  /** Of the app, as the visitor sees it: `https://5173--misha.ingress.test`. */
  readonly origin: string
  /** In PEM: what the visitor trusts. */
  readonly certificate: string
  /** Opens a page in a browser without cookies; skips the test where no browser starts. */
  readonly newPage: () => Promise<VisitedPage>
}

/** A page, and all that it wrote to its console. */
export interface VisitedPage {
  readonly page: Page
  readonly console: readonly string[]
}

/** One request that a framework may refuse, or respond to with its own address, because of the names that it reads. */
export interface Probe extends ProbeRequest {
  /** What it gets by default, with `appOrigin: "localhost"`. */
  readonly byDefault: string
  /** What it gets with `appOrigin: "public"`. */
  readonly withPublicName: string
}

/** A request, and how its outcome is written. */
export interface ProbeRequest {
  /** As docs/frameworks.md writes it. */
  readonly request: string
  readonly send: (visit: Pick<Visit, "host" | "origin" | "certificate">) => Promise<string>
}

/** The version of a package from npm that is installed for these tests. */
export const npmVersion = (name: string): string => {
  const manifest = readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")
  return (JSON.parse(manifest) as { readonly version: string }).version
}

/** The command of a package, where its own scaffold's scripts find it. */
export const npmCommand = (name: string): string => fileURLToPath(new URL(`node_modules/.bin/${name}`, import.meta.url))
