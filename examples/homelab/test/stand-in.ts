import { exporters as own } from "@project-ingress/ingress/generate"
import type { Exporters, ProjectFront } from "@project-ingress/ingress/generate"

/** Stands for Traefik's exporter where the package has none: rules as JSON, a label for each hostname. */
const standIn: ProjectFront = {
  isProxy: true,
  overrides: "traefik.yml",
  export: ({ ingresses }, { overrides }) => ({
    files: [
      { path: "traefik/traefik.yml", text: `${JSON.stringify(overrides)}\n` },
      ...ingresses.map(({ name, rules }) => ({
        path: `traefik/dynamic/${name}.yml`,
        text: `${JSON.stringify(rules, undefined, 2)}\n`,
      })),
    ],
    problems: [],
  }),
  labels: (project, services) => ({
    labels: new Map(
      services.map(({ service, labelled }) => [
        service,
        [
          "traefik.enable=true",
          ...labelled.map(
            ({ match }) => `traefik.http.routers.${project}-${service}.rule=Host(\`${match.hostname!.text}\`)`,
          ),
        ],
      ]),
    ),
    problems: [],
  }),
}

/** The package's own exporters, and what stands for Traefik's until it has that. */
export const exporters: Exporters = { ...own, fronts: { traefik: standIn, ...own.fronts } }
