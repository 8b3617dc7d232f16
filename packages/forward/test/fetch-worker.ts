// Bundled and run by fetch.test.ts in workerd.
import { forwardFetch } from "../src/fetch/workers.ts"
import { check } from "./fetch-check.ts"

export default {
  async fetch(request: Request): Promise<Response> {
    const url = new URL(request.url)
    const origin = url.searchParams.get("origin")!
    if (url.pathname === "/check") {
      return Response.json(await check(forwardFetch, origin, url.searchParams.get("closed")!))
    }
    const headers = ["accept-encoding", "gzip"]
    const upgrade = request.headers.get("upgrade") === "websocket"
    if (upgrade) headers.push("Connection", "Upgrade", "Upgrade", "websocket")
    return forwardFetch({ origin, target: url.pathname, method: "GET", headers, body: null, upgrade })
  },
}
