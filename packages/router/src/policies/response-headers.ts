import type { Policy } from "./policy.ts"

/**
 * Carries out `responseHeaders`: takes the fields of `remove` out of the app's responses for the port, then sets those of `set`, each to
 * that one value. Responses that the router generates stay as they are.
 */
export const responseHeaders = (): Policy => ({
  name: "response headers",
  enforces: ["responseHeaders"],
  onResponse: (_, edit, { settings }) => {
    const rules = settings.responseHeaders
    if (rules === undefined) return
    for (const name of rules.remove ?? []) edit.remove(name)
    for (const [name, value] of Object.entries(rules.set ?? {})) edit.set(name, value)
  },
})
