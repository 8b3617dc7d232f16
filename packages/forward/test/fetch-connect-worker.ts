// Bundled and run by fetch-connect.test.ts in workerd.
import { forwardConnect } from "../src/fetch/workers.ts"
import { check } from "./fetch-connect-check.ts"

export default {
  async fetch(request: Request): Promise<Response> {
    const { searchParams } = new URL(request.url)
    return Response.json(await check(forwardConnect, searchParams.get("origin")!, searchParams.get("closed")!))
  },
}
