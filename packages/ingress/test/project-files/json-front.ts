import type { ProjectFront } from "../../src/generate.ts"

/** A front that writes what it is given, one file for each ingress; HTTP goes by labels. */
export const jsonFront: ProjectFront = {
  isProxy: true,
  overrides: "traefik.yml",
  export: ({ ingresses }, { settings, overrides }) => ({
    files: [
      { path: "static.json", text: `${JSON.stringify({ settings, overrides }, undefined, 2)}\n` },
      ...ingresses.map(({ name, rules }) => ({
        path: `dynamic/${name}.json`,
        text: `${JSON.stringify(rules, undefined, 2)}\n`,
        mode: rules.some(({ requireHeader }) => requireHeader?.value !== undefined) ? 0o600 : 0o644,
      })),
    ],
    problems: ingresses.flatMap(({ name, rules }) =>
      rules.flatMap(({ match, proxyProtocol }, at) => [
        ...(match.protocol === "udp"
          ? [{ kind: "unresolved" as const, ingress: name, field: `rules.${at}.match.protocol`, reason: "is left out" }]
          : []),
        ...(proxyProtocol === 1
          ? [
              {
                kind: "unsupported" as const,
                ingress: name,
                field: `rules.${at}.proxyProtocol`,
                reason: "has no equivalent in JSON",
              },
            ]
          : []),
      ]),
    ),
  }),
  labels: (project, services) => ({
    labels: new Map(
      services.map(({ service, labelled }) => [
        service,
        ["json.enable=true", ...labelled.map(({ match }) => `json.${project}.${service}=${match.hostname!.text}`)],
      ]),
    ),
    problems: services.flatMap(({ labelled }) =>
      labelled.flatMap((rule) =>
        rule.allowCidrs?.includes("10.66.0.0/16") === true
          ? [{ kind: "unsupported" as const, rule, field: "allowCidrs", reason: "is everybody" }]
          : [],
      ),
    ),
  }),
}
