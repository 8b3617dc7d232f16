import { once } from "node:events"
import { createServer } from "node:http"
import type { AddressInfo } from "node:net"
import type { Fixture, Undo } from "../src/testing.ts"
import { hookNames } from "./conformance-remote.ts"
import type { HookAnswer, HookName, Remote } from "./conformance-remote.ts"

/** Lets another process, or a Worker, use a fixture of this one. */
export const serveFixture = async (fixture: Fixture) => {
  let { machine } = fixture
  const undos: Undo[] = []
  const call = async (path: string): Promise<HookAnswer> => {
    const [name, undo] = path.split("/")
    if (name === "undo") await undos[Number(undo)]!()
    else {
      const done: unknown = await fixture[name as HookName]!()
      if (typeof done === "function") return { machine, other: fixture.other, undo: undos.push(done as Undo) - 1 }
      if (name === "restart" || name === "swap") machine = done as typeof machine
    }
    return { machine, other: fixture.other }
  }
  const server = createServer((request, response) => {
    void call(request.url!.slice(1)).then((answer) => response.end(JSON.stringify(answer)))
  }).listen(0, "127.0.0.1")
  await once(server, "listening")
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`
  return {
    /** As it is now, to be sent as JSON. */
    remote: (): Remote => ({
      ...(JSON.parse(JSON.stringify({ ...fixture, provider: undefined })) as Omit<Remote, "origin" | "hooks">),
      machine,
      origin,
      hooks: hookNames.filter((name) => fixture[name] !== undefined),
    }),
    close: () => {
      server.closeAllConnections()
      server.close()
    },
  }
}
