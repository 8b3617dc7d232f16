// Bundled and run by conformance-runtimes.test.ts in workerd: the suite, with the objects that machines dial out to.
import type { SigningKey } from "@project-ingress/forward"
import { acceptMachines, RelayObject } from "../src/adapters/relay/relay-object.ts"
import type { RelayState } from "../src/adapters/relay/relay-object.ts"
import type { RelayNamespace } from "../src/adapters/relay/relay.ts"
import { bound } from "./conformance-remote.ts"
import suite from "./conformance-worker.ts"

export { FakeContainer } from "./conformance-worker.ts"

interface Env {
  readonly RELAY: RelayNamespace
  readonly SIGNING_KEYS: readonly SigningKey[]
}

export class Relay extends RelayObject {
  constructor(state: RelayState, env: Env) {
    super(state, { signingKeys: env.SIGNING_KEYS })
  }
}

export default {
  async fetch(request: Request, env: Env & Parameters<typeof suite.fetch>[1]): Promise<Response> {
    bound.relay = env.RELAY
    return request.headers.has("upgrade")
      ? acceptMachines(env.RELAY, env.SIGNING_KEYS)(request)
      : suite.fetch(request, env)
  },
}
