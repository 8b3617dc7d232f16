// Bundled and run by relay.test.ts in workerd: a relay's object, what takes machines, and the provider in front of it, as a
// platform's Worker has them.
import type { SigningKey } from "@project-ingress/forward"
import { relay } from "../src/adapters/relay/relay.ts"
import { acceptMachines, RelayObject } from "../src/adapters/relay/relay-object.ts"
import type { RelayObjectEvent, RelayState } from "../src/adapters/relay/relay-object.ts"
import { machineFetcher } from "../src/transport/machine-fetcher.ts"

interface Env {
  readonly RELAY: { getByName(name: string): { fetch(request: Request): Promise<Response> } }
  readonly SIGNING_KEYS: readonly SigningKey[]
  readonly DEAD_AFTER_MS?: number
}

const events: RelayObjectEvent[] = []
let objects = 0

export class Relay extends RelayObject {
  readonly #state: RelayState & { abort(reason: string): void }
  constructor(state: RelayState, env: Env) {
    super(state, {
      signingKeys: env.SIGNING_KEYS,
      onEvent: (event) => events.push(event),
      ...(env.DEAD_AFTER_MS === undefined ? {} : { deadAfterMs: env.DEAD_AFTER_MS }),
    })
    this.#state = state as RelayState & { abort(reason: string): void }
    objects++
  }
  override async fetch(request: Request): Promise<Response> {
    // As a deployment does.
    if (new URL(request.url).hostname === "abort.invalid") this.#state.abort("restarted by a test")
    return super.fetch(request)
  }
}

export default {
  async fetch(request: Request, env: Env): Promise<Response> {
    const url = new URL(request.url)
    const [, first, ...rest] = url.pathname.split("/")
    if (first === "connect") return acceptMachines(env.RELAY, env.SIGNING_KEYS)(request)
    if (first === "events") return Response.json({ events, objects })
    if (first === "abort") {
      await env.RELAY.getByName(rest[0]!)
        .fetch(new Request("http://abort.invalid/"))
        .catch(() => {})
      return new Response("aborted")
    }
    if (first === "status") {
      return Response.json(
        await relay(env.RELAY).status!(
          { id: rest[0]!, type: "relay", externalId: rest[0]!, metadata: {} },
          { signal: AbortSignal.timeout(5_000) },
        ),
      )
    }
    // /to/<ticket's machine>/<object>/<port>/…
    const [id, externalId, port, ...path] = rest
    const machine = { id: id!, type: "relay", externalId: externalId!, metadata: {} }
    const fetcher = machineFetcher(relay(env.RELAY), machine, { port: Number(port), signingKey: env.SIGNING_KEYS[0]! })
    try {
      return await fetcher(new Request(`http://app.test/${path.join("/")}${url.search}`, request))
    } catch (error) {
      const { _tag, message } = error as Error & { readonly _tag?: string }
      return Response.json({ _tag, message }, { status: 599 })
    }
  },
}
