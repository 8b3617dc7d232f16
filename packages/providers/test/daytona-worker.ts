// Bundled and run by daytona.test.ts in workerd.
import { daytona } from "../src/daytona.ts"
import { machineFetcher } from "../src/fetcher.ts"

interface Env {
  readonly SETUP: string
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const { options, machine, fetcherOptions } = JSON.parse(env.SETUP)
    try {
      return await machineFetcher(daytona(options), machine, fetcherOptions)(request)
    } catch (error) {
      return new Response(String(error), { status: 500 })
    }
  },
}
