/**
 * Writes docs/errors/, the table of docs/architecture.md and the labels of the router's metrics from the rows of the packages and
 * from what `error-docs/` says about each code.
 *
 *     pnpm errors
 */
import { mkdir, readFile, rm, writeFile } from "node:fs/promises"
import { join } from "node:path"
import { knownErrors } from "./error-docs/known-errors.ts"
import { files, rowTable } from "./error-docs/render.ts"
import { withTable } from "./tables.ts"

const docs = join(import.meta.dirname, "../docs")
await rm(join(docs, "errors"), { recursive: true, force: true })
await mkdir(join(docs, "errors"))
for (const [name, text] of files()) await writeFile(join(docs, "errors", name), text)

const architecture = join(docs, "architecture.md")
await writeFile(architecture, withTable(await readFile(architecture, "utf8"), "responses", rowTable()))

await writeFile(join(import.meta.dirname, "../packages/router/src/observability/known-errors.ts"), knownErrors())
