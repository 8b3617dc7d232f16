import { defineConfig } from "vitest/config"
import LastScreen from "../../scripts/reporter.ts"

// For reporter.test.ts, which runs the fixtures of this folder: they fail, skip and break on purpose.
export default defineConfig({ test: { include: ["*.fixture.ts"], reporters: [new LastScreen()] } })
