// Bundled and run in workerd by runtimes.test.ts: the API as a Worker mounts it.
import { ingressApi } from "../../src/api.ts"
import type { IngressApiHandler } from "../../src/api.ts"
import { realIngresses } from "./real-ingresses.ts"

let api: Promise<IngressApiHandler> | undefined

const mounted = async (token: string): Promise<IngressApiHandler> =>
  ingressApi({ ingresses: await realIngresses({ machines: [{ id: "my-api" }] }), tokens: [{ token }], basePath: "/v1" })

export default {
  fetch: async (request: Request, { TOKEN }: { readonly TOKEN: string }): Promise<Response> =>
    (await (api ??= mounted(TOKEN))).fetch(request),
}
