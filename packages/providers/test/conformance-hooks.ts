import type { Undo } from "../src/testing.ts"
import { hookNames } from "./conformance-remote.ts"
import type { HookAnswer, HookName, Proved, Remote } from "./conformance-remote.ts"
import { answer, listen } from "./fakes/http.ts"

/** Lets another process, or a Worker, use a fixture of this one. */
export const serveFixture = async (fixture: Proved) => {
  const undos: Undo[] = []
  let { machine } = fixture
  const call = async (path: string): Promise<HookAnswer> => {
    const [name, undo] = path.split("/")
    const now = () => ({ machine, other: fixture.other, secrets: fixture.secrets })
    if (name === "undo") await undos[Number(undo)]!()
    else {
      const done: unknown = await fixture[name as HookName]!()
      if (typeof done === "function") return { ...now(), undo: undos.push(done as Undo) - 1 }
      if (name === "restart" || name === "swap") machine = done as typeof machine
    }
    return now()
  }
  const server = await listen(async (request, response) => answer(response, 200, await call(request.url!.slice(1))))
  return {
    /** As it is now, to be sent as JSON. */
    remote: (): Remote => ({
      ...(JSON.parse(JSON.stringify({ ...fixture, provider: undefined })) as Omit<Remote, "origin" | "hooks">),
      machine,
      origin: server.origin,
      hooks: hookNames.filter((name) => fixture[name] !== undefined),
    }),
    close: server.close,
  }
}
