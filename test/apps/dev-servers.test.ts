import { describe } from "vitest"
import { everything, onlyInAll } from "../requirements.ts"
import { realApps } from "./all-apps.ts"
import { testApps } from "./test-apps.ts"

describe.skipIf(!everything)(`dev servers${onlyInAll}`, () => {
  testApps(realApps.devServers)
})
