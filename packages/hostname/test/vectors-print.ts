// Bun and Deno run this file as their main module.
import { check, count, vectors } from "./vectors-check.ts"

console.log(JSON.stringify({ runtime: navigator.userAgent, vectors: count(vectors), failures: check() }))
