import { readFile } from "node:fs/promises"
import { basename, join, relative, resolve } from "node:path"
import { parseArgs } from "node:util"
import { progressLine } from "@project-ingress/router/internal"
import { planFiles } from "../files/generated-files.ts"
import type { FilesPlan } from "../files/generated-files.ts"
import { HandEdited } from "../files/hand-edited.ts"
import { generateFiles } from "../project-files/generate-files.ts"
import type { Exporters, ProjectFront } from "../project-files/project-front.ts"
import { ProjectsInvalid } from "../project-files/projects-invalid.ts"
import type { Projects } from "../project-files/projects.ts"
import { readProjects } from "../project-files/read-projects.ts"
import { readOverrides } from "../project-files/settings-file.ts"
import { BadInput } from "./bad-input.ts"
import { loadProjects } from "./load-projects.ts"
import { secretForms } from "./secret-forms.ts"

/** What the command runs in. */
export interface GenerateSurroundings {
  readonly exporters: Exporters
  readonly stdout: { write(text: string): unknown }
  readonly stderr: { readonly isTTY?: boolean; write(text: string): unknown }
  readonly environment: Readonly<Record<string, string | undefined>>
  /** What relative paths are relative to. */
  readonly workingDirectory: string
}

const NAME = "project-ingress generate"

const help = ({
  fronts,
  units,
}: Exporters): string => `${NAME} <folder> [--front <name>] [--out <folder>] [--apply] [--overwrite] [--overrides <file>] [--json]
${NAME} --unit <manager> [--front <name>] [--out <folder>]
${NAME} [--help]

Reads a folder of project files, validates all of it, and shows what would change of the files of a front. Its executable is project-ingress-generate.
  --front <name>      ${Object.keys(fronts).join(", ") || "there is none"}; traefik by default
  --out <folder>      where the files go; generated/<front> by default. One front to a folder
  --apply             writes what has changed; without it nothing is written
  --overwrite         also over files that were changed or made by hand
  --overrides <file>  overrides of the front's own configuration, in place of the file in the folder
  --unit <manager>    prints the unit file that runs the front: ${Object.keys(units).join(", ") || "there is none"}
  --json              one JSON document
  Exit code: 0 if nothing is to be done or it is written, 1 if there are changes and --apply is not given,
  2 if a generated file was changed by hand or a file could not be written, 3 for input that cannot be used.
`

/** `project-ingress generate`. Resolves to its exit code. */
export const runGenerate = async (args: readonly string[], surroundings: GenerateSurroundings): Promise<number> => {
  const { exporters, stdout, stderr } = surroundings
  let isJson = args.includes("--json")
  try {
    const { values, positionals } = parse(args)
    isJson = values.json
    if (values.help) stdout.write(help(exporters))
    if (values.help) return 0
    if (values.unit !== undefined) return printUnit(values.unit, values, positionals, surroundings)
    const [folder, ...more] = positionals
    if (folder === undefined || more.length > 0) throw new BadInput("one folder of project files: see --help")
    return await generate(folder, values, surroundings)
  } catch (cause) {
    if (cause instanceof ProjectsInvalid) {
      if (isJson) stdout.write(`${JSON.stringify({ problems: cause.problems }, undefined, 2)}\n`)
      else stderr.write(`${cause.message}\n${NAME}: ${count(cause.problems.length, "problem")}, nothing was written\n`)
      return 3
    }
    const isInput = cause instanceof BadInput || codeOf(cause)?.startsWith("ERR_PARSE_ARGS") === true
    if (!isInput && !(cause instanceof HandEdited) && codeOf(cause) === undefined) throw cause
    const message = `${(cause as Error).message}${cause instanceof HandEdited ? ": --overwrite replaces it" : ""}`
    if (isJson) stdout.write(`${JSON.stringify({ error: message }, undefined, 2)}\n`)
    else stderr.write(`${NAME}: ${message}\n`)
    return isInput ? 3 : 2
  }
}

const parse = (args: readonly string[]) =>
  parseArgs({
    args: [...args],
    allowPositionals: true,
    options: {
      front: { type: "string", default: "traefik" },
      out: { type: "string" },
      overrides: { type: "string" },
      unit: { type: "string" },
      apply: { type: "boolean", default: false },
      overwrite: { type: "boolean", default: false },
      json: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  })

type Values = ReturnType<typeof parse>["values"]

/** Of the system, of parseArgs. */
const codeOf = (cause: unknown): string | undefined => {
  const { code } = cause as { readonly code?: unknown }
  return typeof code === "string" ? code : undefined
}

const count = (number: number, noun: string): string => `${number} ${noun}${number === 1 ? "" : "s"}`

const oneOf = <T>(option: string, name: string, table: Readonly<Record<string, T>>): T => {
  const found = Object.hasOwn(table, name) ? table[name] : undefined
  if (found === undefined) throw new BadInput(`${option} must be one of ${Object.keys(table).join(", ")}`)
  return found
}

const outFolder = ({ out, front }: Values, { workingDirectory }: GenerateSurroundings): string =>
  resolve(workingDirectory, out ?? join("generated", front))

const printUnit = (
  unit: string,
  values: Values,
  positionals: readonly string[],
  surroundings: GenerateSurroundings,
): number => {
  const { exporters, stdout } = surroundings
  const others = (["apply", "overwrite", "overrides", "json"] as const).find((name) => values[name])
  if (others !== undefined || positionals.length > 0) {
    throw new BadInput(
      `--unit only prints: ${others === undefined ? "a folder of project files" : `--${others}`} has no effect`,
    )
  }
  oneOf("--front", values.front, exporters.fronts)
  const text = oneOf("--unit", unit, exporters.units)({ front: values.front, folder: outFolder(values, surroundings) })
  if (text === undefined) throw new BadInput(`--unit has no effect: ${values.front} is no process`)
  stdout.write(text)
  return 0
}

const generate = async (given: string, values: Values, surroundings: GenerateSurroundings): Promise<number> => {
  const { exporters, stdout, stderr, workingDirectory } = surroundings
  const front = oneOf("--front", values.front, exporters.fronts)
  const variables = variablesOf(values.front, front, surroundings)
  const folder = resolve(workingDirectory, given)
  const out = outFolder(values, surroundings)
  const way = relative(folder, out)
  if (way === "" || !(way.startsWith("..") || resolve(way) === way)) {
    throw new BadInput("--out must not be in the folder of projects, where its files would be read as a project's")
  }
  const progress = progressLine(stderr)
  try {
    const projects = await read(folder, progress.show)
    const overrides = await overridesOf(values, front, projects, workingDirectory)
    const { settings } = projects
    const made = generated(values.front, projects, front, {
      folder: out,
      variables,
      ...(settings === undefined ? {} : { settings }),
      ...(overrides === undefined ? {} : { overrides }),
    })
    if (made.problems.length > 0) throw new ProjectsInvalid({ problems: made.problems })
    progress.show(out)
    const secrets = secretsOf(projects, front, variables)
    const plan = await planFiles(out, made.files, { secrets, overwrite: values.overwrite })
    progress.clear()
    const isChanged = plan.written.length + plan.removed.length > 0
    const unchanged = made.files.length - plan.written.length
    const warnings = [...projects.warnings, ...made.warnings]
    if (!values.json) {
      for (const warning of warnings) stderr.write(`${NAME}: ${warning}\n`)
      stdout.write(plan.diff)
    }
    // Also where nothing has changed: a run that was killed may have left its list of files unfinished.
    if (values.apply) await write(plan)
    if (values.json)
      stdout.write(
        `${JSON.stringify({ front: values.front, out, applied: values.apply, ...shown(plan), unchanged, warnings }, undefined, 2)}\n`,
      )
    else
      stdout.write(
        `${values.apply ? "" : "would be: "}${plan.written.length} written, ${plan.removed.length} removed, ${unchanged} unchanged\n`,
      )
    return isChanged && !values.apply ? 1 : 0
  } finally {
    progress.clear()
  }
}

const write = async (plan: FilesPlan): Promise<void> => {
  await plan.apply()
  await plan.readBack()
}

const shown = ({ diff, written, removed }: FilesPlan) => ({ written, removed, diff })

const read = async (folder: string, onProgress: (what: string) => void): Promise<Projects> => {
  const loaded = await loadProjects(folder, { onProgress }).catch((cause: unknown) => {
    throw new BadInput(`the folder of projects cannot be read: ${codeOf(cause) ?? (cause as Error).message}`)
  })
  const projects = await readProjects(loaded.files).catch((cause: unknown) => {
    if (cause instanceof ProjectsInvalid) return cause
    throw cause
  })
  if (!(projects instanceof ProjectsInvalid) && loaded.problems.length === 0) return projects
  const { problems = [] } = projects instanceof ProjectsInvalid ? projects : {}
  throw new ProjectsInvalid({ problems: [...loaded.problems, ...problems] })
}

const overridesOf = async (
  { overrides: file, front: name }: Values,
  front: ProjectFront,
  projects: Projects,
  workingDirectory: string,
): Promise<Projects["overrides"]> => {
  if (file === undefined) return front.overrides === "traefik.yml" ? projects.overrides : undefined
  if (front.overrides === undefined) throw new BadInput(`--overrides has no effect: ${name} has none`)
  const text = await readFile(resolve(workingDirectory, file), "utf8").catch((cause: unknown) => {
    throw new BadInput(`--overrides cannot be read: ${codeOf(cause)}`)
  })
  const { overrides, problems } = readOverrides(basename(file), text)
  if (problems.length > 0) throw new ProjectsInvalid({ problems })
  return overrides
}

/** All that are missing at once. */
const variablesOf = (
  name: string,
  { variables = {} }: ProjectFront,
  { environment }: GenerateSurroundings,
): Readonly<Record<string, string>> => {
  const missing = Object.keys(variables).filter((variable) => !environment[variable])
  if (missing.length > 0) {
    throw new BadInput(
      `${name} needs ${missing.join(" and ")} in the environment: set ${missing.length === 1 ? "it" : "them"} and run the command again`,
    )
  }
  const found = Object.keys(variables).map((variable) => [variable, environment[variable]!] as const)
  const placeholder = found.find(([, value]) => value.includes("${"))
  if (placeholder !== undefined)
    throw new BadInput(`${placeholder[0]} is a placeholder itself: its value must be free of \${`)
  return Object.fromEntries(found)
}

const secretsOf = (
  { ingresses }: Projects,
  { variables = {} }: ProjectFront,
  values: Readonly<Record<string, string>>,
): readonly string[] =>
  [
    ...ingresses.flatMap(({ rules }) => rules.flatMap(({ requireHeader }) => requireHeader?.value ?? [])),
    ...Object.keys(variables).flatMap((name) => (variables[name] === "secret" ? values[name]! : [])),
  ].flatMap(secretForms)

/** What an exporter throws: options that it does not take, as of overrides, or files that would not hold together. */
const refusal = (front: string, cause: unknown): unknown => {
  const isRefusal =
    cause instanceof Error && ("_tag" in cause || (cause instanceof TypeError && /^[a-z]\w+: /.test(cause.message)))
  return isRefusal ? new BadInput(`${front}: ${cause.message}`) : cause
}

const generated = (name: string, ...input: Parameters<typeof generateFiles>): ReturnType<typeof generateFiles> => {
  try {
    return generateFiles(...input)
  } catch (cause) {
    throw refusal(name, cause)
  }
}
