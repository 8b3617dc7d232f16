import { availableParallelism } from "node:os"
import { defineConfig } from "vitest/config"
import LastScreen from "./scripts/reporter.ts"

// Tests import the packages by name and get `src`, so no build is needed before them.
const conditions = ["@project-ingress/source"]

export default defineConfig({
  resolve: { conditions },
  ssr: { resolve: { conditions } },
  test: {
    include: ["packages/*/test/**/*.test.ts", "examples/*/test/**/*.test.ts", "test/**/*.test.ts"],
    reporters: ["default", new LastScreen()],
    // On a shared machine, real engines and browsers are late now and then. The last screen says which tests needed a second attempt.
    retry: process.env["CI"] === "true" ? 1 : 0,
    // Many tests wait for engines, browsers and other processes, which run beside the workers: three on two cores, four on many.
    maxWorkers: Math.min(4, Math.max(3, availableParallelism())),
    // Far above what anything takes on a machine that has nothing else to do: no claim depends on how fast a machine is.
    testTimeout: 120_000,
    hookTimeout: 180_000,
    expect: { poll: { timeout: 60_000 } },
  },
})
