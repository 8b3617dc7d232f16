import { bodyOf, withBody } from "./fetch-transport.ts"

let collected: FinalizationRegistry<() => void> | undefined

/**
 * The response, and `onEnd` called once its body has ended, failed or been cancelled, or cannot be read any more because nobody
 * holds it. Buffers nothing: a piece is read when its reader asks for it. A response without a body has ended at once.
 */
export const observedBody = (response: Response, onEnd: () => void): Response => {
  const source = bodyOf(response)
  if (source === null) {
    onEnd()
    return response
  }
  const reader = source.getReader()
  const body = new ReadableStream<Uint8Array>(
    {
      pull: async (controller) => {
        try {
          const { done, value } = await reader.read()
          if (!done) return controller.enqueue(value)
          controller.close()
        } catch (cause) {
          controller.error(cause)
        }
        onEnd()
      },
      cancel: (reason) => {
        onEnd()
        return reader.cancel(reason)
      },
    },
    { highWaterMark: 0 },
  )
  // Not in every version of workerd.
  if (typeof FinalizationRegistry === "function") {
    collected ??= new FinalizationRegistry((end) => end())
    collected.register(body, onEnd)
  }
  return withBody(response, body)
}
