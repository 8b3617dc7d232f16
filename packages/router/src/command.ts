#!/usr/bin/env node
import { readFileSync } from "node:fs"
import { join } from "node:path"
import { parseArgs } from "node:util"
import { addressOf, authoritiesOf, BadArgument, consoleOf, integerOf } from "./commands/arguments.ts"
import { readTarget } from "./commands/doctor/doctor-target.ts"
import { exitCodeOf } from "./commands/doctor/finding.ts"
import { findingsJson, findingsText } from "./commands/doctor/print-findings.ts"
import { runDoctor } from "./commands/doctor/run-doctor.ts"
import { explainHostname } from "./commands/explain/explain-hostname.ts"
import { exitCodeOfExplanation, explanationText } from "./commands/explain/print-explanation.ts"
import { credentialHeaders, isLocalhost, listenOf, portUrl } from "./commands/forward/forward-options.ts"
import { runForward } from "./commands/forward/run-forward.ts"
import { progressLine } from "./commands/progress-line.ts"
import { runExecutable } from "./commands/run-executable.ts"
import { formatMailDnsPlan, mailDnsPlan } from "./email/mail-dns.ts"
import type { MailDnsPlan } from "./email/mail-dns.ts"

const NAME = "project-ingress"

const INGRESS = "@project-ingress/ingress"

const HELP = `${NAME} explain <hostname> (--config <file> | --console <url>) [--path /] [--method GET] [--policies] [--status] [--json]
${NAME} forward <port> <project|hostname|url> [--domain <domain>] [--listen [<ip>:]<port>] [--udp] [--once]
${NAME} generate <folder> …
${NAME} mail-dns <domain> …
${NAME} doctor <url> [--address <ip>] [--ca <file>] [--console <url>] [--machine] [--port <n>] [--timeout <s>] [--json]
${NAME} [--help] [--version]

explain shows where a hostname leads and where it stops, without touching the machine.
  --config <file>   a module that exports router, which is what createRouter returned
  --console <url>   asks a router that runs: the URL of its console; the token of INGRESS_CONSOLE_TOKEN is sent as Bearer
  --path, --method  what else rules depend on
  --policies        asks the policies that may be asked, as for a visitor without credentials
  --status          asks the machine's provider for its status: one call (with --config only)
  Exit code: 0 if it leads to a machine, 1 if it stops before, 3 for input that cannot be used.

forward opens a port of this computer that leads to a port of a machine that is not HTTP: a database, Redis, ssh. Ctrl-C ends it.
  <project>         its name, below --domain or INGRESS_DOMAIN: forward 5432 misha leads to 5432__misha.<domain>
  --listen          where; by default 127.0.0.1 and the same port, 0 is a free one
  --udp             the port takes datagrams
  --once            ends with the first connection
  --token-env <n>   the variable with an access token, sent as Bearer; by default INGRESS_TOKEN, if there is one
  --token-file <f>  a file with the token
  --cookie-env <n>  the variable with the cookies of a session
  --address, --ca   as of doctor
  Exit code: 0, with --once 1 if the connection failed, 3 for input that cannot be used.

generate writes the configuration of Caddy, Traefik or Envoy from a folder of project files. It is in the package ${INGRESS}: see
generate --help.

mail-dns prints the DNS records of a zone at Cloudflare whose projects have pages and mail. It changes nothing.

doctor looks at DNS, port, certificate, route, machine, app and clock, and says what to do. It sends one GET, without credentials.
  --address <ip>    connects there, whatever DNS says
  --ca <file>       trusts the authorities in this file (PEM), and no others
  --console <url>   asks the router, too, as explain does
  --machine         this computer is the machine: looks where the app listens; --port, if the hostname does not name it
  --timeout <s>     of each step, in seconds; 10 by default
  Exit code: the worst finding, 0 ok, 1 warning, 2 error; 3 for input that cannot be used.
`

const version = (): string =>
  (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version

const print = (text: string): void => void process.stdout.write(text)

const parse = (args: string[]) =>
  parseArgs({
    args,
    allowPositionals: true,
    options: {
      config: { type: "string" },
      console: { type: "string" },
      path: { type: "string" },
      method: { type: "string" },
      policies: { type: "boolean", default: false },
      status: { type: "boolean", default: false },
      domain: { type: "string" },
      listen: { type: "string" },
      udp: { type: "boolean", default: false },
      once: { type: "boolean", default: false },
      "token-env": { type: "string" },
      "token-file": { type: "string" },
      "cookie-env": { type: "string" },
      address: { type: "string" },
      ca: { type: "string" },
      machine: { type: "boolean", default: false },
      port: { type: "string" },
      timeout: { type: "string" },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
      version: { type: "boolean", default: false },
    },
  })

type Values = ReturnType<typeof parse>["values"]

/** The options of one command: of the other one they would do nothing. */
const allowOnly = (values: Values, command: string, names: readonly string[]): void => {
  const wrong = Object.entries(values).find(
    ([name, value]) => value !== false && name !== "json" && !names.includes(name),
  )
  if (wrong !== undefined) throw new BadArgument(`--${wrong[0]} is no option of ${command}: see --help`)
}

const explain = async (hostname: string, values: Values): Promise<number> => {
  allowOnly(values, "explain", ["config", "console", "path", "method", "policies", "status"])
  const { config, path, method, policies, status, json } = values
  const console = consoleOf(values.console, process.env)
  if ((config === undefined) === (console === undefined)) {
    throw new BadArgument("explain needs --config <file> or --console <url>, and not both")
  }
  if (path !== undefined && !path.startsWith("/")) throw new BadArgument("--path must begin with /")
  if (console !== undefined && (status || method !== undefined)) {
    throw new BadArgument("--status and --method need --config: a console calls nobody, and asks about GET")
  }
  const by = config === undefined ? { console: console!, timeoutMs: 10_000 } : { config }
  const explanation = await explainHostname({ hostname, path, method, policies, status }, by)
  if (typeof explanation === "string") throw new BadArgument(explanation)
  print(json ? `${JSON.stringify(explanation, null, 2)}\n` : explanationText(explanation))
  return exitCodeOfExplanation(explanation)
}

const doctor = async (text: string, values: Values): Promise<number> => {
  allowOnly(values, "doctor", ["address", "ca", "console", "machine", "port", "timeout"])
  const target = readTarget(text)
  if (typeof target === "string") throw new BadArgument(`doctor cannot use this URL: ${target}`)
  const port = integerOf("--port", values.port, 1, 65_535)
  if (port !== undefined && !values.machine) throw new BadArgument("--port is the app's port, with --machine only")
  const seconds = integerOf("--timeout", values.timeout, 1, 600) ?? 10
  const progress = progressLine(process.stderr)
  const findings = await runDoctor(target, {
    address: addressOf(values.address),
    ca: authoritiesOf(values.ca),
    timeoutMs: seconds * 1_000,
    machine: values.machine ? { port } : undefined,
    console: consoleOf(values.console, process.env),
    onProgress: progress.show,
  })
  progress.clear()
  print(values.json ? findingsJson(target.url, findings) : findingsText(findings))
  return exitCodeOf(findings)
}

const forwardOptions = ["domain", "listen", "udp", "once", "token-env", "token-file", "cookie-env", "address", "ca"]

const forward = async (port: string, subject: string, values: Values): Promise<number> => {
  allowOnly(values, "forward", forwardOptions)
  const number = integerOf("the port", port, 1, 65_535)!
  // A variable that is empty is one that is not set.
  const url = portUrl(number, subject, values.domain ?? (process.env["INGRESS_DOMAIN"] || undefined))
  const address = addressOf(values.address) ?? (isLocalhost(url.hostname) ? "127.0.0.1" : undefined)
  const sources = {
    tokenEnv: values["token-env"],
    tokenFile: values["token-file"],
    cookieEnv: values["cookie-env"],
  }
  const stop = new AbortController()
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => stop.abort())
  return runForward(
    {
      url,
      kind: values.udp ? "udp" : "tcp",
      listen: listenOf(values.listen, number),
      headers: credentialHeaders(url, address, sources, process.env),
      address,
      ca: authoritiesOf(values.ca),
      once: values.once,
    },
    {
      print: (line) => print(`${line}\n`),
      printProblem: (line) => void process.stderr.write(`${NAME}: ${line}\n`),
      stop: stop.signal,
    },
  )
}

const mailDns = (domains: readonly string[], values: Values): number => {
  allowOnly(values, "mail-dns", [])
  const plan = mailPlan(domains)
  print(values.json ? `${JSON.stringify(plan, null, 2)}\n` : formatMailDnsPlan(plan))
  return 0
}

const mailPlan = (domains: readonly string[]): MailDnsPlan => {
  try {
    return mailDnsPlan(domains)
  } catch (cause) {
    // What the grammar does not accept.
    throw cause instanceof TypeError ? new BadArgument(cause.message) : cause
  }
}

/** An executable of its own: this package does not depend on that one. */
const generate = (args: string[]): Promise<number | NodeJS.Signals> =>
  runExecutable({
    package: INGRESS,
    executable: `${NAME}-generate`,
    args,
    from: [join(process.cwd(), "package.json"), import.meta.url],
  })

const run = async (args: string[]): Promise<number | NodeJS.Signals> => {
  try {
    if (args[0] === "generate") return await generate(args.slice(1))
    const { values, positionals } = parse(args)
    const [command, subject, ...more] = positionals
    if (values.help) print(HELP)
    if (values.version) print(`${version()}\n`)
    if (values.help || values.version) return 0
    if (command === "mail-dns" && subject !== undefined) return mailDns([subject, ...more], values)
    if (command === "forward") {
      if (subject === undefined || more[0] === undefined || more.length > 1) {
        throw new BadArgument("forward needs a port and a project, hostname or URL: forward 5432 misha. See --help")
      }
      return await forward(subject, more[0], values)
    }
    const isKnown = command === "explain" || command === "doctor"
    if (!isKnown || subject === undefined || more.length > 0) {
      throw new BadArgument(
        "explain <hostname>, forward <port> <project>, doctor <url>, generate <folder> or mail-dns <domain>: see --help",
      )
    }
    return command === "explain" ? await explain(subject, values) : await doctor(subject, values)
  } catch (error) {
    // Of parseArgs, of a file that cannot be read, of ours. Anything else is a mistake of this program.
    if (!(error instanceof BadArgument) && !(error instanceof Error && "code" in error)) throw error
    process.stderr.write(`${NAME}: ${unknownOption(error) ?? error.message}\n`)
    return 3
  }
}

/** Node's own sentence goes on about arguments that begin with a hyphen. */
const unknownOption = (error: Error): string | undefined => {
  if (!("code" in error) || error.code !== "ERR_PARSE_ARGS_UNKNOWN_OPTION") return undefined
  const name = /'(-[^']*)'/.exec(error.message)?.[1]
  return name === undefined ? undefined : `${name} is no option: see --help`
}

const end = await run(process.argv.slice(2))
// A router's module may keep connections open. What was written has to be out first.
process.stdout.write("", () => {
  if (typeof end === "number") process.exit(end)
  // Whoever waits sees the end that the executable had.
  process.kill(process.pid, end)
})
