import { resolve } from "node:path"
import { homelab } from "./homelab.ts"

const out = resolve(process.argv[2] ?? "generated")
process.exitCode = await homelab({ out, environment: process.env, print: (text) => void process.stdout.write(text) })
