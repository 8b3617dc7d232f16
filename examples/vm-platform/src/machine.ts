import { once } from "node:events"
import { createServer } from "node:http"

/** Stands for a machine with a web server. */
export interface Machine {
  readonly close: () => Promise<void>
}

/** Listens on an address of its own, as a machine does in its platform's network. */
export const startMachine = async (name: string, host: string, port: number): Promise<Machine> => {
  const server = createServer((request, response) => {
    response.setHeader("content-type", "text/html")
    response.end(`<h1>Welcome to ${name}</h1><p>at ${host}, asked for ${request.headers.host ?? "nothing"}\n`)
  })
  server.listen(port, host)
  await once(server, "listening")
  return {
    close: async () => {
      server.close()
      server.closeAllConnections()
      await once(server, "close")
    },
  }
}
