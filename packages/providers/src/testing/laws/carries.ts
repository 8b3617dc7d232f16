import { defaultHeaderNames, ticketSigner } from "@project-ingress/forward"
import type { SignedTicket } from "@project-ingress/forward"
import { machineRequestHeaders } from "../../transport/request-headers.ts"
import { inTime, LawBroken, ok } from "../assert.ts"
import { neverAborted } from "../context.ts"
import type { LawContext } from "../context.ts"
import { law } from "../law.ts"

/** A request whose body comes piece by piece, as bytes of HTTP/1.1: Fetch shows no trailers, and may wait with the response. */
interface OpenRequest {
  readonly write: (text: string) => void
  /** Resolves when all of the texts have come, in this order. */
  readonly until: (...texts: readonly string[]) => Promise<void>
  readonly close: () => void
}

const open = async (context: LawContext, path: string): Promise<OpenRequest> => {
  const { fixture, machine, port, provider } = context
  const endpoint = await provider.resolve(machine, { port, signal: neverAborted })
  const target = `localhost:${port}`
  const { signingKey } = fixture
  const signed =
    signingKey === undefined || endpoint.machineProxy === false
      ? undefined
      : ((await ticketSigner(signingKey).ticketFor(machine.id, port, "localhost")) as SignedTicket)
  const fields = machineRequestHeaders(["te", "trailers"], {
    headerNames: defaultHeaderNames,
    pseudonym: "project-ingress",
    trailers: true,
    endpoint,
    capabilities: provider.capabilities,
    target,
    ticket: signed?.ticket,
  })
  const lines = [`POST ${path} HTTP/1.1`, `Host: ${new URL(endpoint.origin).host}`]
  for (let i = 0; i < fields.length; i += 2) lines.push(`${fields[i]}: ${fields[i + 1]}`)
  const socket = await inTime(fixture.connect!(endpoint.origin), "a connection")
  socket.write(`${[...lines, "Transfer-Encoding: chunked", "Connection: close"].join("\r\n")}\r\n\r\n`)
  let text = ""
  const arrive = async (texts: readonly string[]): Promise<void> => {
    for (const wanted of texts) {
      while (!text.includes(wanted)) {
        const more = await socket.read()
        if (more === undefined) throw new LawBroken(`the connection ended before ${JSON.stringify(wanted)}`)
        text += more
      }
      text = text.slice(text.indexOf(wanted) + wanted.length)
    }
  }
  return {
    write: (piece) => socket.write(piece),
    until: (...texts) => inTime(arrive(texts), `${path}: ${texts.map((each) => JSON.stringify(each)).join()}`),
    close: () => socket.close(),
  }
}

/** What the platform's edge lets through, where the provider says that it does. */
export const carries = {
  "carries.declared": law("what is carried is declared by two booleans, or not at all", [], ({ provider }) => {
    const { carries } = provider.capabilities
    if (carries === undefined) return
    ok(typeof carries.trailers === "boolean", "carries.trailers is a boolean")
    ok(typeof carries.duplex === "boolean", "carries.duplex is a boolean")
  }),

  "carries.trailers": law("trailers of a response arrive", ["connect", "carries.trailers"], async (context) => {
    const request = await open(context, "/trailers")
    try {
      request.write("0\r\n\r\n")
      await request.until(" 200", "\r\n\r\n", "body", "0\r\n", "x-after: the end\r\n")
    } finally {
      request.close()
    }
  }),

  "carries.duplex": law(
    "a response begins, and goes on, while its request still comes",
    ["connect", "carries.duplex"],
    async (context) => {
      const request = await open(context, "/duplex")
      try {
        for (const piece of ["one", "two", "six"]) {
          request.write(`3\r\n${piece}\r\n`)
          await request.until(piece)
        }
        request.write("0\r\n\r\n")
        await request.until("\r\n0\r\n")
      } finally {
        request.close()
      }
    },
  ),
}
