// Bundled and run by docker-workers.test.ts in workerd: what becomes of each question to an engine.
import { docker } from "../src/adapters/docker/docker.ts"

const machine = { id: "mach_1", type: "docker", externalId: "abc", metadata: {} }

export default {
  async fetch(request: Request): Promise<Response> {
    const host = new URL(request.url).searchParams.get("host")!
    const provider = docker({ host, env: {} })
    const { signal } = new AbortController()
    const questions: (() => Promise<unknown>)[] = [
      () => provider.resolve(machine, { port: 3000, signal }),
      () => provider.status!(machine, { signal }),
      () => provider.start!(machine, { signal }),
      () => provider.watch!({ signal })[Symbol.asyncIterator]().next(),
    ]
    const told = questions.map((ask) =>
      ask().then(
        () => "answered",
        ({ _tag, reason }: { readonly _tag: string; readonly reason: string }) => `${_tag}: ${reason}`,
      ),
    )
    return Response.json(await Promise.all(told))
  },
}
