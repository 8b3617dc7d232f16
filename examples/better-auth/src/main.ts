/** Starts the platform with one user: `PORT=8787 npx -y pnpm@12 start`. */
import { startPlatform } from "./platform.ts"

const platform = await startPlatform(Number(process.env["PORT"] ?? 8787))
await platform.addMember("ann@example.com", "correct horse battery")
console.log(`open ${platform.app}/ and sign in as ann@example.com, password "correct horse battery"`)
