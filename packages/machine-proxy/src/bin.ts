#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { readConfig } from "./config.ts"
import { keysCommand } from "./keys-command.ts"
import { pinCommand } from "./pin-command.ts"
import { serve } from "./serve-command.ts"
import { variables } from "./variables.ts"

const NAME = "project-ingress-machine-proxy"

const help = (): string => `${NAME} [--insecure] [--help] [--version]
${NAME} keys [--kid <id>] [--secret] [--help]
${NAME} pin [<file>] [--help]
${NAME} keys --machine <id> [--help]

The proxy inside a machine: listens on one port, and forwards each request with a valid ticket to the local port that
it names.
--insecure accepts requests without a ticket: whoever reaches the port reaches every app.
keys prints a new pair of ticket keys, as the environment variables of router and machines; with --machine the key of
one machine, with which it proves who it is.
pin prints the pin of the machine's TLS key, for its record.

${Object.entries(variables)
  .map(([name, accepted]) => `${name.padEnd(37)}${accepted}`)
  .join("\n")}
`

const version = (): string => {
  const file = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }
  return file.version
}

const err = (text: string): boolean => process.stderr.write(`${NAME}: ${text}\n`)

/** Exit code 2: the arguments or the environment are wrong, so to start again does not help. */
const refuse = (problem: string): void => {
  err(problem)
  process.exitCode = 2
}

const runProxy = (args: readonly string[]): void => {
  let flags: { readonly insecure?: boolean; readonly help?: boolean; readonly version?: boolean }
  try {
    flags = parseArgs({
      args: [...args],
      options: { insecure: { type: "boolean" }, help: { type: "boolean" }, version: { type: "boolean" } },
    }).values
  } catch (error) {
    return refuse(`${(error as Error).message}. Settings are environment variables, as PORT=9000: see --help`)
  }
  if (flags.help === true) return void process.stdout.write(help())
  if (flags.version === true) return void process.stdout.write(`${version()}\n`)
  const read = readConfig(process.env, { insecure: flags.insecure === true })
  for (const warning of read.warnings) err(`warning: ${warning}`)
  if ("problems" in read) return read.problems.forEach(refuse)
  if (flags.insecure === true) err("warning: --insecure: whoever reaches this port reaches every app")
  serve(NAME, read.config)
}

const main = async (): Promise<void> => {
  // A reader of the log that has exited is no reason to stop serving.
  process.stdout.on("error", () => {})
  process.stderr.on("error", () => {})
  const [command, ...rest] = process.argv.slice(2)
  if (command !== "keys" && command !== "pin") return runProxy(process.argv.slice(2))
  const result = command === "keys" ? await keysCommand(NAME, rest, process.env) : pinCommand(NAME, rest, process.env)
  if ("problem" in result) return refuse(`${command}: ${result.problem}`)
  process.stdout.write(result.output)
}

await main()
