/** Starts the platform and says what to try: `PORT=8787 npx -y pnpm@12 start`. */
import { serve } from "./serve.ts"

const { originOf, registry, token, link } = await serve(Number(process.env["PORT"] ?? 8787))
const page = originOf("misha", 8000)

console.log(`public   ${originOf("misha", 3000)}/
private  ${page}/  sign in as ann, password ann; ${originOf("misha", 5173)}/ is then open, too
         ${originOf("eve", 8000)}/  is somebody else's: 403
token    curl -H "Authorization: Bearer ${token}" ${page}/
link     ${link}  in another browser; it ends tomorrow
press Enter to end all sessions, tokens and links of misha`)

process.stdin.on("data", () => {
  void registry
    .revoke("misha")
    .then(({ generation }) => console.log(`generation ${generation}: all of them have ended`))
})
