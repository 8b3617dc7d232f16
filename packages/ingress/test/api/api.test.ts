import { apiCases } from "./api-cases.ts"
import { fakeIngresses } from "./fake-ingresses.ts"

apiCases("in memory", fakeIngresses)
