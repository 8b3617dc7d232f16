#!/usr/bin/env node
import { createReadStream, readFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { diffImages } from "./commands/diff-images.ts"
import { inspectImage } from "./commands/inspect-image.ts"
import { openPacked, PackedRefused } from "./stores/packed.ts"
import type { PackedImage } from "./stores/packed.ts"

const NAME = "project-ingress-routes"

const HELP = `${NAME} inspect <file> [key …] [--json] [--help] [--version]
${NAME} diff <before> <after> [--all] [--json] [--help]

Shows what is in an image of packed routes, or the records of some keys (p:misha, m:mach_1, d:www.example.com); and what differs
between two images. Both verify the images first.
--json prints one JSON document for an image, and one line of JSON for each difference.
--all prints every difference, not only the first 50.
Exit code: 0; 1 if the images differ, or have no such key; 2 if a file is no image, or cannot be read.
`

/** An image of any age and size. */
const open = (file: string): Promise<PackedImage> =>
  openPacked(createReadStream(file, { highWaterMark: 1 << 20 }) as AsyncIterable<Uint8Array>, { force: true })

const print = (line: string): void => void process.stdout.write(`${line}\n`)

const version = (): string =>
  (JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8")) as { version: string }).version

/** Exit code 2. */
const refuse = (problem: string): number => {
  process.stderr.write(`${NAME}: ${problem}\n`)
  return 2
}

const run = async (args: string[]): Promise<number> => {
  let parsed
  try {
    parsed = parseArgs({
      args,
      allowPositionals: true,
      options: {
        json: { type: "boolean", default: false },
        all: { type: "boolean", default: false },
        help: { type: "boolean", default: false },
        version: { type: "boolean", default: false },
      },
    })
  } catch (error) {
    return refuse(`${(error as Error).message}: see --help`)
  }
  const { json, all, help, version: asksVersion } = parsed.values
  const [command, first, second, ...rest] = parsed.positionals
  if (help) process.stdout.write(HELP)
  if (asksVersion) print(version())
  if (help || asksVersion) return 0
  if (first === undefined) return refuse("an image's file is needed: see --help")
  try {
    if (command === "inspect") {
      const keys = second === undefined ? [] : [second, ...rest]
      return (await inspectImage(await open(first), { keys, json, print })) ? 0 : 1
    }
    if (command === "diff" && second !== undefined && rest.length === 0) {
      return (await diffImages(await open(first), await open(second), { all, json, print })) ? 1 : 0
    }
  } catch (error) {
    if (error instanceof PackedRefused || (error instanceof Error && "code" in error)) return refuse(error.message)
    throw error
  }
  return refuse("inspect <file>, or diff <before> <after>: see --help")
}

process.exitCode = await run(process.argv.slice(2))
