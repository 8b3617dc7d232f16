#!/usr/bin/env node
import { runGenerate } from "./generate/run-generate.ts"
import { exporters } from "./project-files/exporters.ts"
import { runProcess } from "./generate/run-process.ts"

await runProcess((surroundings) => runGenerate(process.argv.slice(2), { exporters, ...surroundings }))
