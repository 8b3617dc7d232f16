#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { generateTicketKeys } from "@project-ingress/forward"
import { edgeVariables, readEdgeConfig } from "./commands/edge/edge-config.ts"
import { edgeLog } from "./commands/edge/edge-log.ts"
import { openDatabase } from "./commands/edge/open-database.ts"
import { serveEdge, startProblem } from "./commands/edge/serve-edge.ts"
import type { Edge } from "./commands/edge/serve-edge.ts"
import { changeLogSchema } from "./stores/postgres-feed.ts"

const NAME = "project-ingress-edge"

const help = (): string => `${NAME} [--help] [--version] [--generate-key] [--change-log]

Routes domains to machines by the tables of EdgeProxy in Postgres, and stands in for it: the same environment, statuses and bodies.
SIGTERM and SIGINT stop it when requests in flight are over; SIGHUP reads the routes and takes whatever the tables hold.
--generate-key prints a key for INGRESS_EDGE_SIGNING_KEY. --change-log prints the SQL that INGRESS_EDGE_SOURCE=feed needs, for psql.
Exit code: 0; 1 if it cannot start, or if requests were cut off when it stopped.

${Object.entries(edgeVariables)
  .map(([name, accepted]) => `${name.padEnd(30)}${accepted}`)
  .join("\n")}
`

const version = (): string =>
  (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version

const print = (line: string): void => void process.stdout.write(`${line}\n`)

/** For whoever starts it by hand; the log has it, too. */
const refuse = (log: ReturnType<typeof edgeLog>, problem: string): void => {
  log.write("error", problem)
  process.stderr.write(`${NAME}: ${problem}\n`)
  process.exitCode = 1
}

const start = async (): Promise<void> => {
  const read = readEdgeConfig(process.env)
  if ("problems" in read) return read.problems.forEach((problem) => refuse(edgeLog("error", print), problem))
  const { config } = read
  const log = edgeLog(config.logLevel, print)
  const { mode, source, region, intervalMs } = config
  log.write("info", "starting edgeproxy", { mode, source, region, intervalMs })
  let edge: Edge
  try {
    edge = await serveEdge(config, await openDatabase(config.databaseUrl), log)
  } catch (cause) {
    refuse(log, startProblem(cause))
    // Of two listeners one may be open.
    return void process.stdout.write("", () => process.exit(1))
  }
  log.write("info", "edgeproxy listening", { port: edge.port, pid: process.pid })

  let isStopping = false
  const stop = async (signal: NodeJS.Signals): Promise<void> => {
    // A second signal means: do not wait.
    if (isStopping) process.exit(130)
    isStopping = true
    log.write("info", "edgeproxy stopping", { signal })
    const isDrained = await edge.stop()
    if (isDrained) log.write("info", "edgeproxy stopped gracefully")
    else log.write("error", "edgeproxy stopped, and cut off requests that took longer than the drain")
    // The last lines have to be out: a pipe is written to later.
    process.stdout.write("", () => process.exit(isDrained ? 0 : 1))
  }
  process.on("SIGTERM", (signal) => void stop(signal))
  process.on("SIGINT", (signal) => void stop(signal))
  process.on("SIGHUP", () => {
    log.write("info", "reading routes", { signal: "SIGHUP" })
    void edge.reload()
  })
}

const main = async (): Promise<void> => {
  // A reader of the log that has exited is no reason to stop serving.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  let flags
  try {
    flags = parseArgs({
      options: {
        help: { type: "boolean" },
        version: { type: "boolean" },
        "generate-key": { type: "boolean" },
        "change-log": { type: "boolean" },
      },
    }).values
  } catch (error) {
    process.stderr.write(`${NAME}: ${(error as Error).message}. Settings are environment variables: see --help\n`)
    process.exitCode = 1
    return
  }
  if (flags.help === true) return void process.stdout.write(help())
  if (flags.version === true) return print(version())
  if (flags["change-log"] === true) return changeLogSchema.forEach((statement) => print(`${statement};`))
  if (flags["generate-key"] === true) {
    const { signing } = await generateTicketKeys(new Date().toISOString().slice(0, 10))
    return print(JSON.stringify(signing))
  }
  await start()
}

await main()
