import type { CaddyConfig } from "./caddy-json.ts"
import { isHostAddress } from "./literals.ts"

/**
 * What is wrong with a generated configuration that Caddy would accept and carry out otherwise than meant: `caddy validate` passes
 * all of these. Each is the path of a value and what it must be.
 */
export const checkCaddyConfig = (config: CaddyConfig): readonly string[] => {
  const wrong: string[] = []
  const listening = new Set<string>()
  const apps = object(config["apps"])
  const servers = Object.entries(object(object(apps["http"])["servers"]))
  const certified = certifiedNames(object(apps["tls"]))
  for (const [name, value] of servers) {
    const { listen, routes, tls_connection_policies: policies } = object(value)
    for (const each of array(listen)) {
      const isAddress = typeof each === "string" && isListenAddress(each)
      if (!isAddress || listening.has(each)) wrong.push(`${name}.listen must be an address of its own`)
      else listening.add(each)
    }
    const list = array(routes).map(object)
    const last = list.at(-1)
    // Caddy's own is 200 with an empty body.
    if (last === undefined || "match" in last) wrong.push(`${name}.routes must end with one that takes everything`)
    for (const [index, route] of list.slice(0, -1).flatMap(ungrouped).entries()) {
      if (route["terminal"] !== true) wrong.push(`${name}.routes.${index} must be terminal`)
      for (const host of array(object(array(route["match"])[0])["host"])) {
        if (policies !== undefined && !certified(String(host))) {
          wrong.push(`${name}.routes.${index} must have a certificate for its hostname`)
        }
      }
    }
  }
  walk(config, "", (key, value) => {
    if (key === "dial" && !isDial(value)) wrong.push(`${key} must be host:port`)
    if (key === "pattern" ? value.includes("{") : !isPlaceholderSafe(value, key)) {
      wrong.push(`${key} must have no placeholder but those of the exporter`)
    }
  })
  return wrong
}

/** Many routes stand in groups, which are no routes of their own: what is in them is terminal. */
const ungrouped = (route: Record<string, unknown>): readonly Record<string, unknown>[] => {
  const inner = array(object(array(route["handle"])[0])["routes"]).map(object)
  const isGroup =
    route["terminal"] === undefined && inner.length > 0 && inner.every(({ terminal }) => terminal === true)
  return isGroup ? inner : [route]
}

const isListenAddress = (address: string): boolean => {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]*)):(\d{1,5})$/.exec(address)
  const host = parts?.[1] ?? parts?.[2]
  return host !== undefined && (host === "" || isHostAddress(host))
}

/** Caddy accepts `http://host:1` and `host` here, and each request is then 502. */
const isDial = (dial: string): boolean => {
  const parts = /^(?:\[([^\]]+)\]|([^:[\]]+)):(\d{1,5})$/.exec(dial)
  return parts !== null && isHostAddress(parts[1] ?? parts[2]!)
}

/** The placeholders that the exporter writes. Others, from a document, are escaped. */
const isPlaceholderSafe = (text: string, key: string): boolean => {
  if (!text.includes("{")) return true
  const known =
    key === "api_token"
      ? /\{env\.\w+\}/g
      : key === "name"
        ? /\{http\.request\.host\.labels\.\d+\}/g
        : /\{http\.request\.(?:host|uri)\}/g
  return !/(?<!\\)[{}]/.test(text.replaceAll(known, ""))
}

const certifiedNames = (tls: Record<string, unknown>): ((host: string) => boolean) => {
  const subjects = new Set(array(object(tls["certificates"])["automate"]))
  const isOnDemand = array(object(tls["automation"])["policies"]).some((policy) => object(policy)["on_demand"] === true)
  return (host) => isOnDemand || subjects.has(host) || subjects.has(`*.${host.slice(host.indexOf(".") + 1)}`)
}

/** Calls with each text and the name that it stands under; elements of an array have that of the array. */
const walk = (value: unknown, key: string, visit: (key: string, text: string) => void): void => {
  if (typeof value === "string") visit(key, value)
  else if (Array.isArray(value)) for (const each of value) walk(each, key, visit)
  else if (typeof value === "object" && value !== null) {
    for (const [name, each] of Object.entries(value)) walk(each, name, visit)
  }
}

const object = (value: unknown): Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Record<string, unknown>) : {}

const array = (value: unknown): readonly unknown[] => (Array.isArray(value) ? value : [])
