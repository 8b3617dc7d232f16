import { connect } from "node:net"
import type { FixtureSocket } from "../src/testing.ts"

/** `connect` of a fixture whose origins are of http. Only on Node: it is the platform that is tested, and not each runtime's servers. */
export const fixtureSocket =
  "Bun" in globalThis || "Deno" in globalThis
    ? {}
    : {
        connect: (origin: string): Promise<FixtureSocket> =>
          new Promise((resolve, reject) => {
            const { hostname, port } = new URL(origin)
            const socket = connect({ host: hostname.replace(/^\[(.*)\]$/, "$1"), port: Number(port) })
            const pieces = socket[Symbol.asyncIterator]()
            socket.setEncoding("latin1")
            socket.once("error", reject)
            socket.once("connect", () =>
              resolve({
                write: (text) => void socket.write(text, "latin1"),
                read: async () => {
                  const { value } = (await pieces.next()) as { readonly value: string | undefined }
                  return value
                },
                close: () => void socket.destroy(),
              }),
            )
          }),
      }
