import type { Declarations } from "./declarations.ts"
import { knownKeys } from "./known-keys.ts"
import { checkPlaceholders } from "./placeholders.ts"
import { mapOf } from "./read-labels.ts"

/** The static configuration: declares entry points and resolvers, and may attach middlewares to entry points. */
export const checkStatic = (document: unknown, file: string, declarations: Declarations): void => {
  declarations.provider("static")
  checkPlaceholders(document, file, false, declarations)
  const root = mapOf(document)
  for (const key of Object.keys(root)) {
    if (!knownKeys.static.has(key))
      declarations.add("invalid", { file, path: key }, "is no key of the static configuration")
  }
  const addresses = new Map<string, string>()
  for (const [name, entryPoint] of Object.entries(mapOf(root["entryPoints"]))) {
    const place = { file, path: `entryPoints.${name}` }
    const { address, http } = mapOf(entryPoint)
    const parts = typeof address === "string" ? /^(.*:\d{1,5})(?:\/(tcp|udp))?$/.exec(address) : null
    if (parts === null) declarations.add("invalid", place, "has no address with a port")
    const transport = parts?.[2] ?? "tcp"
    // `:80` and `:80/tcp` are one.
    const listening = `${parts?.[1]}/${transport}`
    const other = addresses.get(listening)
    if (parts !== null && other !== undefined) declarations.add("invalid", place, `listens on the address of ${other}`)
    addresses.set(listening, name)
    declarations.declare("entry point", `${transport} ${name}`, "static", place)
    for (const [at, middleware] of listOf(mapOf(http)["middlewares"]).entries()) {
      const here = { file, path: `${place.path}.http.middlewares.${at}` }
      if (!middleware.includes("@")) declarations.add("invalid", here, "does not say its provider: name@file")
      else declarations.reference("http middleware", middleware, "file", here)
    }
    const { certResolver, options } = mapOf(mapOf(http)["tls"])
    if (typeof certResolver === "string") {
      declarations.reference("certificate resolver", certResolver, "static", {
        file,
        path: `${place.path}.http.tls.certResolver`,
      })
    }
    if (typeof options === "string") {
      const here = { file, path: `${place.path}.http.tls.options` }
      if (options !== "default") declarations.reference("TLS option", options, "file", here)
    }
  }
  for (const [name, resolver] of Object.entries(mapOf(root["certificatesResolvers"]))) {
    declarations.declare("certificate resolver", name, "static", { file, path: `certificatesResolvers.${name}` })
    const { entryPoint } = mapOf(mapOf(mapOf(resolver)["acme"])["httpChallenge"])
    if (typeof entryPoint === "string") {
      const path = `certificatesResolvers.${name}.acme.httpChallenge.entryPoint`
      declarations.reference("entry point", `tcp ${entryPoint}`, "static", { file, path })
    }
  }
  const { entryPoint } = mapOf(root["ping"])
  if (typeof entryPoint === "string") {
    declarations.reference("entry point", `tcp ${entryPoint}`, "static", { file, path: "ping.entryPoint" })
  }
}

/** The texts of a list; of a text, its parts between commas, as labels have them. */
export const listOf = (value: unknown): readonly string[] => {
  if (typeof value === "string") return value.split(",").map((each) => each.trim())
  return Array.isArray(value) ? value.filter((each) => typeof each === "string") : []
}
