/** Run by tests as another process: reads what is stored, and commits what its second argument says, as JSON, if there is one. */
import { fileStorage } from "../../src/storage/file/file-storage.ts"
import type { StorageCommit } from "../../src/ingress.ts"

const [folder, commit] = process.argv.slice(2)
const storage = fileStorage(folder!)
const { revision } = await storage.read(0)
if (commit !== undefined) await storage.commit({ ...(JSON.parse(commit) as StorageCommit), ifRevision: revision })
