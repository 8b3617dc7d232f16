import { accept, checkOptions } from "@project-ingress/router/internal"
import type { GeneratedFile } from "../fronts/front.ts"

/** What keeps the process. */
export type UnitKind = "supervisord" | "systemd" | "s6"

/** A process that runs in the foreground: a supervised front, or ours. */
export interface UnitService {
  /** Letters, digits, `-` and `_`. */
  readonly name: string
  /** For people. Default: the name. */
  readonly description?: string
  /** An absolute path of letters, digits and `. _ @ + - /`. */
  readonly command: string
  readonly args?: readonly string[]
  /** Written in plain text: no place for secrets. For supervisord without quotation marks and backslashes. */
  readonly environment?: Readonly<Record<string, string>>
  readonly user?: string
  /** As `command`. */
  readonly workingDirectory?: string
  /** What the process writes is added to it. As `command`. Default: what `kind` does with it. */
  readonly logFile?: string
}

/**
 * A unit that starts a process and restarts it when it ends: `<name>.conf` for supervisord, `<name>.service` for systemd, `<name>/run` for
 * a scan directory of s6. Every value is quoted as that format wants it.
 *
 * @throws {TypeError} for a field that is unknown, missing or invalid: none has control characters, so none has a line break
 */
export const unitFile = (kind: UnitKind, service: UnitService): GeneratedFile => {
  if (!Object.hasOwn(WRITERS, kind)) throw new TypeError(`unitFile: kind must be ${Object.keys(WRITERS).join(" or ")}`)
  checkOptions("unitFile", service, CHECKS, { required: ["name", "command"] })
  return WRITERS[kind](service)
}

const matching =
  (pattern: RegExp, accepted: string) =>
  (value: unknown): string | undefined =>
    typeof value === "string" && pattern.test(value) ? undefined : accepted

const path = matching(/^\/[\w./@+-]*$/, "an absolute path of letters, digits and . _ @ + - /")
const text = matching(/^[^\p{Cc}\p{Cs}\u2028\u2029]*$/u, "a text without control characters")
const VARIABLE = /^[A-Za-z_]\w*$/

const CHECKS = {
  name: matching(/^[\w-]{1,64}$/, "1 to 64 letters, digits, - and _"),
  // A backslash at the end of a line would join the next one.
  description: matching(/^[^\p{Cc}\p{Cs}\\]*$/u, "a text without control characters and backslashes"),
  command: path,
  args: accept.array(text),
  environment: (value: unknown): string | undefined => {
    if (typeof value !== "object" || value === null) return "an object"
    const isValid = Object.entries(value).every(([name, of]) => VARIABLE.test(name) && text(of) === undefined)
    return isValid ? undefined : "names of variables, with texts without control characters"
  },
  user: matching(/^[a-z_][\w-]{0,31}$/, "the name of a user"),
  workingDirectory: path,
  logFile: path,
}

/** supervisord.conf(5): ConfigParser, then `%(name)s`, then Python's shlex. */
const supervisord = ({
  name,
  command,
  args = [],
  environment,
  user,
  workingDirectory,
  logFile,
}: UnitService): GeneratedFile => {
  const lines = [
    `[program:${name}]`,
    `command=${inIni([command, ...args].map(shellQuoted).join(" "))}`,
    ...(environment === undefined ? [] : [`environment=${supervisordEnvironment(environment)}`]),
    ...(workingDirectory === undefined ? [] : [`directory=${workingDirectory}`]),
    ...(user === undefined ? [] : [`user=${user}`]),
    "autostart=true",
    "autorestart=true",
    "stopsignal=TERM",
    "redirect_stderr=true",
    ...(logFile === undefined ? [] : [`stdout_logfile=${logFile}`]),
  ]
  return { path: `${name}.conf`, text: `${lines.join("\n")}\n` }
}

/** A space and `;` or `#` would begin a comment, also inside of quotes: between them comes the end of one pair and the begin of the next. */
const inIni = (quoted: string): string => quoted.replaceAll("%", "%%").replace(/(\s)(?=[;#])/g, "$1''")

const supervisordEnvironment = (environment: Readonly<Record<string, string>>): string =>
  Object.keys(environment)
    .toSorted()
    .map((name) => {
      const value = environment[name]!
      // Its values have no escapes, and a comment begins wherever a space is before one of these.
      if (/["'\\]|\s[;#]/.test(value)) {
        throw new TypeError(`unitFile: environment.${name} has what supervisord cannot quote`)
      }
      return `${name}="${value.replaceAll("%", "%%")}"`
    })
    .join(",")

/** For a shell, and for shlex: nothing is special within single quotes but their end. */
const shellQuoted = (word: string): string =>
  /^[\w./:=@+-]+$/.test(word) ? word : `'${word.replaceAll("'", `'"'"'`)}'`

/** systemd.syntax(7), systemd.service(5) "Command lines", systemd.unit(5) "Specifiers". */
const systemd = (service: UnitService): GeneratedFile => {
  const { name, description = name, command, args = [], environment = {}, user, workingDirectory, logFile } = service
  const words = args.map((word) => systemdQuoted(word).replaceAll("$", "$$$$"))
  const lines = [
    "[Unit]",
    `Description=${description.replaceAll("%", "%%")}`,
    "After=network-online.target",
    "Wants=network-online.target",
    "",
    "[Service]",
    "Type=exec",
    `ExecStart=${[command, ...words].join(" ")}`,
    ...Object.keys(environment)
      .toSorted()
      .map((variable) => `Environment=${systemdQuoted(`${variable}=${environment[variable]!}`)}`),
    ...(workingDirectory === undefined ? [] : [`WorkingDirectory=${workingDirectory}`]),
    ...(user === undefined ? [] : [`User=${user}`]),
    ...(logFile === undefined ? [] : [`StandardOutput=append:${logFile}`, "StandardError=inherit"]),
    "Restart=always",
    "RestartSec=1",
    "",
    "[Install]",
    "WantedBy=multi-user.target",
  ]
  return { path: `${name}.service`, text: `${lines.join("\n")}\n` }
}

const systemdQuoted = (word: string): string => {
  const escaped = word.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("%", "%%")
  return `"${escaped}"`
}

/** s6-supervise: a script that becomes the process. */
const s6 = ({
  name,
  command,
  args = [],
  environment = {},
  user,
  workingDirectory,
  logFile,
}: UnitService): GeneratedFile => {
  const words = [command, ...args].map(shellQuoted).join(" ")
  const lines = [
    "#!/bin/sh",
    `exec ${logFile === undefined ? "2>&1" : `>>${logFile} 2>&1`}`,
    ...(workingDirectory === undefined ? [] : [`cd ${workingDirectory} || exit 1`]),
    ...Object.keys(environment)
      .toSorted()
      .map((variable) => `export ${variable}=${shellQuoted(environment[variable]!)}`),
    `exec ${user === undefined ? "" : `s6-setuidgid ${user} `}${words}`,
  ]
  return { path: `${name}/run`, text: `${lines.join("\n")}\n`, mode: 0o755 }
}

const WRITERS: Readonly<Record<UnitKind, (service: UnitService) => GeneratedFile>> = { supervisord, systemd, s6 }
