import { realApps } from "./all-apps.ts"
import { testApps } from "./test-apps.ts"

testApps(realApps.servers)
