/** The command with the fronts of the tests, as a process. */
import { runProcess } from "../../src/generate/run-process.ts"
import { runGenerate } from "../../src/generate.ts"
import { exporters } from "./test-exporters.ts"

await runProcess((surroundings) => runGenerate(process.argv.slice(2), { ...surroundings, exporters }))
