import type { NewExchange } from "../connection/client-connection.ts"
import type { EngineContext } from "../connection/engine-context.ts"
import type { Engine } from "../contract/engine.ts"
import { ClientConnection } from "../connection/client-connection.ts"
import { reportError } from "../connection/engine-context.ts"
import { headText } from "./head-text.ts"
import { MessageStream } from "./message-stream.ts"

/**
 * Takes requests that another parser has read. Each gets a connection of its own in memory, so that every rule of the engine holds
 * for it and none is written twice. It is no connection of its client's: that is the one it came by.
 */
export const messagesOf = (context: EngineContext, newExchange: NewExchange): Engine["message"] => {
  const onError = (cause: unknown): void => reportError(context, "ProxyFailed", cause)
  const onClose = (): void => {
    context.messages--
  }
  return (connection, head, sink) => {
    const text = headText(head)
    const valid = "text" in text ? text : undefined
    const full = context.messages >= context.limits.maxConnections
    const stream = new MessageStream(connection, head.method, valid, sink, onError)
    const { remoteAddress, encrypted } = connection
    const client = new ClientConnection(stream, context, newExchange, { address: remoteAddress, encrypted })
    client.failure = full ? "Overloaded" : head.failure
    context.messages++
    context.open.add(client)
    stream.on("close", onClose)
    if ("problem" in text) {
      client.unread = text.fields
      // Not before the caller has what we give.
      queueMicrotask(() =>
        client.guard(() => {
          if (client.closed || stream.destroyed) return
          client.reportError("RequestMalformed", new Error(text.problem))
          client.refuse("RequestMalformed")
        }),
      )
    }
    return stream
  }
}
