import type { PlannedHostname, PlannedShape, ServicePlan } from "./service-plan.ts"

/** The plan as text, for a person. */
export const formatServicePlan = ({ project, publicSuffix, services, shapes, certificates }: ServicePlan): string => {
  const all = services.flatMap(({ hostnames }) => hostnames)
  const wide = (of: (each: PlannedHostname) => string): number => Math.max(...all.map((each) => of(each).length))
  const line = ({ hostname, certificate, site }: PlannedHostname): string => {
    const [name, covered] = [
      hostname.padEnd(wide((each) => each.hostname)),
      certificate.padEnd(wide((each) => each.certificate)),
    ]
    return `  ${name}  certificate ${covered}  site ${site}\n`
  }
  return [
    ...services.map(
      ({ name, port, visibility, hostnames }) =>
        `${[name, `port ${port}`, ...(visibility === undefined ? [] : [visibility])].join(", ")}\n${hostnames.map(line).join("")}`,
    ),
    `sites (the domain is ${publicSuffix ? "" : "not "}on the Public Suffix List)\n`,
    ...shapes.map((shape) => `  ${shape.shape.padEnd(6)}  ${sharing(shape)}\n`),
    `certificates of ${project}: ${certificates.join(", ") || "none is needed"}\n`,
  ].join("")
}

const sharing = ({ sharesSessions, cookieDomain, isApart }: PlannedShape): string =>
  [
    sharesSessions ? "services share sessions" : "each service is a site of its own, without sessions of the others",
    cookieDomain === undefined ? "no cookie is one of all" : `cookies with Domain=${cookieDomain} are ones of all`,
    isApart ? "other tenants are other sites" : "other tenants are the same site",
  ].join("; ")
