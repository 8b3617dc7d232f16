import { hostname } from "node:os"
import { dockerApi } from "../src/docker-api.ts"
import { dockerProblem, label } from "../src/docker-machines.ts"

const dockerHost = process.env["DOCKER_HOST"]

/** Why the tests have no Docker Engine; `undefined` when they have one. */
export const noEngine = await dockerProblem(dockerHost, AbortSignal.timeout(20_000))

/** The engine, if there is one. */
export const api = noEngine === undefined ? dockerApi(dockerHost) : undefined

/** Containers and images in the engine that a demo with this process id made. */
export const madeBy = async (
  pid: number,
): Promise<readonly { readonly Id: string; readonly Labels: Record<string, string> }[]> => {
  if (api === undefined) return []
  const filters = encodeURIComponent(JSON.stringify({ label: [`${label}=${hostname()}/${pid}`] }))
  const lists = await Promise.all(
    [`/containers/json?all=1&filters=${filters}`, `/images/json?filters=${filters}`].map((path) =>
      api.call("GET", path),
    ),
  )
  return lists.flatMap(({ text }) => JSON.parse(text) as { Id: string; Labels: Record<string, string> }[])
}
