import type { Declarations } from "./declarations.ts"
import { checkRouter } from "./dynamic-document.ts"
import { labelTree, mapOf, readLabels } from "./read-labels.ts"

/** The labels of a compose file. Variables in them are compose's own, and may stand. */
export const checkLabels = (document: unknown, file: string, declarations: Declarations): void => {
  declarations.provider("docker")
  const byService = Map.groupBy(readLabels(document), ({ service }) => service)
  for (const [service, labels] of byService) {
    const at = `services.${service}.labels`
    for (const { name } of labels) {
      const place = { file, path: `${at}.${name}` }
      if (/\.sans\[/i.test(name)) declarations.add("invalid", place, "is not read: names stand in one list, sans=a,b")
      if (name.includes("@")) declarations.add("invalid", place, "has @ in its name")
    }
    // In labels `$$` is a `$`.
    const tree = labelTree(labels.map(({ name, value }) => ({ service, name, value: value.replaceAll("$$", "$") })))
    if (mapOf(tree)["enable"] === undefined)
      declarations.add("invalid", { file, path: at }, "does not have traefik.enable")
    for (const protocol of ["http", "tcp", "udp"] as const) checkTree(tree, protocol, { file, path: at }, declarations)
  }
}

const checkTree = (
  tree: Readonly<Record<string, unknown>>,
  protocol: "http" | "tcp" | "udp",
  { file, path }: { readonly file: string; readonly path: string },
  declarations: Declarations,
): void => {
  const sections = mapOf(tree[protocol])
  const services = mapOf(sections["services"])
  for (const [name, router] of Object.entries(mapOf(sections["routers"]))) {
    const place = { file, path: `${path}.traefik.${protocol}.routers.${name}` }
    checkRouter(name, mapOf(router), protocol, "docker", place, declarations)
    // Without a name it is the container's only service.
    if (mapOf(router)["service"] !== undefined) continue
    if (Object.keys(services).length > 1) declarations.add("invalid", place, "does not say which service")
    for (const service of Object.keys(services)) declarations.reference(`${protocol} service`, service, "docker", place)
  }
  for (const name of Object.keys(mapOf(sections["middlewares"]))) {
    const place = { file, path: `${path}.traefik.${protocol}.middlewares.${name}` }
    declarations.declare(`${protocol} middleware`, name, "docker", place)
  }
  for (const [name, service] of Object.entries(services)) {
    const place = { file, path: `${path}.traefik.${protocol}.services.${name}` }
    declarations.declare(`${protocol} service`, name, "docker", place)
    const { port } = mapOf(mapOf(mapOf(service)["loadbalancer"])["server"])
    if (port !== undefined && !/^[1-9]\d{0,4}$/.test(port as string))
      declarations.add("invalid", place, "has a port outside 1 to 65535")
  }
}
