import * as http from "node:http"

/** A response of the Docker Engine. */
export interface EngineResponse {
  readonly status: number
  readonly text: string
}

/** The Docker Engine API over its own socket, as much of it as the demo needs. No docker command is called. */
export interface DockerApi {
  /** Rejects when the engine does not respond; a response of any status resolves. */
  readonly call: (
    method: string,
    path: string,
    options?: { readonly body?: unknown; readonly signal?: AbortSignal },
  ) => Promise<EngineResponse>
}

/** The engine at `DOCKER_HOST`, else the default socket. Throws for a form that is not supported. */
export const dockerApi = (host = "unix:///var/run/docker.sock"): DockerApi => {
  const where = placeOf(host)
  return {
    call: (method, path, { body, signal } = {}) =>
      new Promise((resolve, reject) => {
        const isStream = isReadable(body)
        const request = http.request(
          {
            ...where,
            method,
            // Without a version: the engine's own. Docker 20 knows at most 1.41, Docker 29 at least 1.44.
            path,
            // A pool would keep the process from ending.
            agent: false,
            headers: {
              host: "docker",
              ...(body === undefined ? {} : { "content-type": isStream ? "application/x-tar" : "application/json" }),
            },
            ...(signal === undefined ? {} : { signal }),
          },
          (response) => {
            const chunks: Buffer[] = []
            response.on("data", (chunk: Buffer) => chunks.push(chunk))
            response.on("error", reject)
            response.on("end", () =>
              resolve({ status: response.statusCode ?? 0, text: Buffer.concat(chunks).toString() }),
            )
          },
        )
        request.on("error", reject)
        if (isStream) body.on("error", (error) => request.writableEnded || request.destroy(error)).pipe(request)
        else request.end(body === undefined ? undefined : JSON.stringify(body))
      }),
  }
}

const isReadable = (body: unknown): body is NodeJS.ReadableStream =>
  typeof body === "object" && body !== null && "pipe" in body

const placeOf = (host: string): http.RequestOptions => {
  if (host.startsWith("unix:///")) return { socketPath: host.slice("unix://".length) }
  const tcp = /^tcp:\/\/([^:/]+):(\d+)\/?$/.exec(host)
  if (tcp === null) {
    throw new Error(`DOCKER_HOST: ${JSON.stringify(host)} is not accepted; expected unix:///path or tcp://host:port`)
  }
  return { host: tcp[1]!, port: Number(tcp[2]) }
}
