import type { IncomingMessage, Server } from "node:http"
import type { AppEvents } from "./serve-plainly.ts"

/** What is done with what a server is about to tell its listeners. */
export interface EventHooks {
  /** A request, by the event that node:http would tell it with. */
  readonly onRequest: (name: RequestEventName, values: readonly unknown[]) => boolean
  readonly onUpgrade: (values: readonly unknown[]) => boolean
  /** Whether an upgrade is wanted of which the app says `wanted`; asked where Node has `shouldUpgradeCallback`. */
  readonly wantsUpgrade: (request: IncomingMessage, wanted: boolean) => boolean
  readonly onListening: () => void
  readonly onClose: () => void
}

/** The events by which node:http tells a request. */
export type RequestEventName = "request" | "checkContinue" | "checkExpectation"

/** The hooks in place. */
export interface ServerEvents {
  /** The server without them. */
  readonly app: AppEvents
  /** Whether Node asks `wantsUpgrade`. If not, every upgrade comes to `onUpgrade`. */
  readonly asksForUpgrades: boolean
  readonly remove: () => void
}

/**
 * Stands between a server and its listeners. Not as a listener of its own: node:http calls all of them, so the app's would see the
 * router's requests too, and taking those away that are there (as other libraries do) misses what is added later, as `ws`, socket.io and
 * development servers do. `emit` of this one server is what node:http calls for each request, so it is shadowed, and so is
 * `listenerCount`, by which node:http finds out whether it may respond to an expectation or an upgrade by itself.
 */
export const hookServer = (server: Server, hooks: EventHooks): ServerEvents => {
  /** A method as it is now, which may be another library's. */
  const bound = (name: string): ((...values: readonly unknown[]) => unknown) | undefined => {
    const method: unknown = Reflect.get(server, name)
    return typeof method === "function" ? (...values) => Reflect.apply(method, server, values) : undefined
  }
  const emit = bound("emit") as AppEvents["emit"]
  const listenerCount = bound("listenerCount") as (name: string | symbol, ...which: readonly unknown[]) => number
  const shouldUpgrade = bound("shouldUpgradeCallback") as ((request: IncomingMessage) => boolean) | undefined
  const app: AppEvents = { emit, listenerCount }
  const asksForUpgrades = shouldUpgrade !== undefined
  let active = true
  /** True from `shouldUpgradeCallback` to the event, between which node:http counts the listeners. */
  let upgrading = !asksForUpgrades

  const shadows: Readonly<Record<string, (...values: never) => unknown>> = {
    emit: (name: string | symbol, ...values: readonly unknown[]): boolean => {
      if (!active) return app.emit(name, ...values)
      if (name === "request" || name === "checkContinue" || name === "checkExpectation")
        return hooks.onRequest(name, values)
      if (name === "upgrade") {
        if (asksForUpgrades) upgrading = false
        return hooks.onUpgrade(values)
      }
      if (name === "listening") hooks.onListening()
      else if (name === "close") hooks.onClose()
      return app.emit(name, ...values)
    },
    listenerCount: (name: string | symbol, ...which: readonly unknown[]): number => {
      const count = listenerCount(name, ...which)
      if (!active || which.length > 0) return count
      const isAsked = name === "checkContinue" || name === "checkExpectation" || (upgrading && name === "upgrade")
      return isAsked ? Math.max(1, count) : count
    },
    ...(asksForUpgrades && {
      shouldUpgradeCallback: (request: IncomingMessage): boolean => {
        const wanted = shouldUpgrade(request)
        if (!active) return wanted
        upgrading = hooks.wantsUpgrade(request, wanted)
        return upgrading
      },
    }),
  }
  const before = new Map(Object.keys(shadows).map((name) => [name, Object.getOwnPropertyDescriptor(server, name)]))
  for (const [name, value] of Object.entries(shadows))
    Object.defineProperty(server, name, { value, configurable: true, writable: true, enumerable: false })

  return {
    app,
    asksForUpgrades,
    remove: () => {
      active = false
      for (const [name, shadow] of Object.entries(shadows)) {
        // Whoever came after us calls ours, which does nothing any more.
        if (Object.getOwnPropertyDescriptor(server, name)?.value !== shadow) continue
        const descriptor = before.get(name)
        if (descriptor === undefined) Reflect.deleteProperty(server, name)
        else Object.defineProperty(server, name, descriptor)
      }
    },
  }
}
