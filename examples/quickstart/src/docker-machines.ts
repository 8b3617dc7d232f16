import { randomBytes } from "node:crypto"
import { hostname } from "node:os"
import { setTimeout } from "node:timers/promises"
import { command, imageRoot } from "./image.ts"
import { dockerApi } from "./docker-api.ts"
import type { DockerApi } from "./docker-api.ts"
import { environment, healthy } from "./machines.ts"
import type { Machines, StartOptions, Undo } from "./machines.ts"

/** On whatever the demo makes in an engine; the value is the run's owner, `<host>/<process id>`. */
export const label = "dev.project-ingress.demo"

const owner = `${hostname()}/${process.pid}`

/** Why this computer's engine cannot run the machines; `undefined` when it can. Waits for the engine until the signal ends. */
export const dockerProblem = async (host: string | undefined, signal: AbortSignal): Promise<string | undefined> => {
  if (process.platform !== "linux") return "an image is made from this computer's own node, which has to be Linux's"
  try {
    const response = await dockerApi(host).call("GET", "/_ping", { signal })
    return response.status === 200 ? undefined : `the Docker Engine answered ${response.status}`
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException
    return `no Docker Engine answers (${code ?? message})`
  }
}

/** Machines as containers, each with its proxy published on a port of 127.0.0.1. */
export const startDocker = async (host: string | undefined, options: StartOptions, undo: Undo): Promise<Machines> => {
  const { signal, say } = options
  const api = dockerApi(host)
  await removeLeftovers(api)
  // By label, so that a container whose creation was cut off is found as well.
  undo.add(() => removeOwned(api, (value) => value === owner))

  const repository = "project-ingress-demo"
  const tag = randomBytes(6).toString("hex")
  say("making the machines' image from this node and its libraries (about 130 MB, nothing is pulled)")
  const root = await imageRoot(signal)
  try {
    const query = new URLSearchParams({ fromSrc: "-", repo: repository, tag })
    query.append("changes", `LABEL ${label}=${owner}`)
    // The signal ends tar and with it an upload. The request itself is waited for: the engine may go on without it.
    const made = await api.call("POST", `/images/create?${query}`, { body: root.tar })
    expect(made, "the image")
    if (made.text.includes('"error"')) throw new Error(`the engine refused the image: ${made.text.slice(0, 300)}`)
  } finally {
    await root.dispose()
  }
  const image = `${repository}:${tag}`
  // All of them, also when one fails: whoever cleans up afterwards has to find what the others have made.
  const started = await Promise.allSettled(options.ids.map((id) => startOne(api, image, id, options)))
  const routes = started.map((result) => {
    if (result.status === "rejected") throw result.reason
    return result.value
  })
  return { byPort: true, routes: new Map(routes.map((route) => [route.machine.id, route])) }
}

const startOne = async (api: DockerApi, image: string, id: string, { signing, signal, say }: StartOptions) => {
  signal.throwIfAborted()
  // Without the signal: an engine finishes a creation whose client has gone, at a moment that nobody learns of.
  const created = await api.call("POST", "/containers/create", {
    body: {
      Image: image,
      Cmd: command,
      Hostname: id.replaceAll("_", "-"),
      User: "65534:65534",
      Env: Object.entries(await environment(id, signing)).map(([name, value]) => `${name}=${value}`),
      Labels: { [label]: owner, [`${label}.machine`]: id },
      ExposedPorts: { "8080/tcp": {} },
      HostConfig: {
        PortBindings: { "8080/tcp": [{ HostIp: "127.0.0.1", HostPort: "" }] },
        ReadonlyRootfs: true,
        CapDrop: ["ALL"],
        SecurityOpt: ["no-new-privileges"],
        PidsLimit: 256,
      },
    },
  })
  expect(created, `container ${id}`)
  const container = (JSON.parse(created.text) as { Id: string }).Id
  signal.throwIfAborted()
  expect(await api.call("POST", `/containers/${container}/start`), `the start of ${id}`)
  const inspected = await api.call("GET", `/containers/${container}/json`, { signal })
  expect(inspected, `container ${id}`)
  const { Ports } = (JSON.parse(inspected.text) as Inspected).NetworkSettings
  const port = Ports["8080/tcp"]?.[0]?.HostPort
  if (port === undefined) throw new Error(`container ${id} ended at its start`)
  await healthy(`http://127.0.0.1:${port}`, signal)
  say(`machine ${id} runs as container ${container.slice(0, 12)}, its proxy at 127.0.0.1:${port}`)
  return {
    machine: { id, type: "docker", externalId: container, metadata: {} },
    services: { app: 4096, plain: 3000 },
    published: { host: "127.0.0.1", port: Number(port) },
  }
}

/** What a run left that was killed: its owner was a process of this host that is no more. */
const removeLeftovers = (api: DockerApi): Promise<void> =>
  removeOwned(api, (value) => {
    const [host, pid] = value.split("/")
    return host === hostname() && !runs(Number(pid))
  })

/**
 * Removes what carries our label and is `isMine`. Resolves when none of it is listed; rejects if some still is after 30 s. An
 * engine that fails to remove one thing is asked again: a container that has only just started may be busy for a moment, and
 * one failure must not leave all the rest behind.
 */
const removeOwned = async (api: DockerApi, isMine: (owner: string) => boolean): Promise<void> => {
  const filters = encodeURIComponent(JSON.stringify({ label: [label] }))
  const listed = async (path: string): Promise<readonly Labelled[]> => {
    const response = await api.call("GET", path)
    expect(response, "the list")
    return (JSON.parse(response.text) as readonly Labelled[]).filter(({ Labels }) => isMine(Labels?.[label] ?? ""))
  }
  const deadline = AbortSignal.timeout(30_000)
  for (;;) {
    const containers = await listed(`/containers/json?all=1&filters=${filters}`)
    const failures = await removeAll(
      api,
      containers.map(({ Id }) => `/containers/${Id}?force=1&v=1`),
    )
    const images = await listed(`/images/json?filters=${filters}`)
    failures.push(
      ...(await removeAll(
        api,
        images.map(({ Id }) => `/images/${encodeURIComponent(Id)}?force=1`),
      )),
    )
    if (containers.length + images.length === 0) return
    if (deadline.aborted) {
      const left = `the engine still has ${containers.length} containers and ${images.length} images of the demo`
      throw new Error([left, ...failures].join("; "))
    }
    await setTimeout(50)
  }
}

/** What the engine said where it failed. 404: gone already; 409: being removed, or in use by a container that is. */
const removeAll = async (api: DockerApi, paths: readonly string[]): Promise<string[]> => {
  const responses = await Promise.all(paths.map((path) => api.call("DELETE", path)))
  return responses
    .filter(({ status }) => status >= 300 && status !== 404 && status !== 409)
    .map(({ status, text }) => `it answered ${status}: ${text.slice(0, 300)}`)
}

const expect = ({ status, text }: { readonly status: number; readonly text: string }, what: string): void => {
  if (status >= 300 && status !== 304)
    throw new Error(`the engine answered ${status} for ${what}: ${text.slice(0, 300)}`)
}

const runs = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

interface Labelled {
  readonly Id: string
  readonly Labels: Readonly<Record<string, string>> | null
}

interface Inspected {
  readonly NetworkSettings: {
    readonly Ports: Readonly<Record<string, readonly { readonly HostPort: string }[] | null>>
  }
}
