import { exportCaddy } from "../caddy/export-caddy.ts"
import { exportEnvoy } from "../envoy/export-envoy.ts"
import { caddySupervision, envoySupervision } from "../supervision/presets.ts"
import { unitFile } from "../supervision/unit-file.ts"
import type { UnitKind } from "../supervision/unit-file.ts"
import type { Exporters } from "./project-front.ts"
import { traefikProjectFront } from "./traefik-project-front.ts"
import { zoneRecords } from "./zone-records.ts"

/** How a front is started: with the programs of a distribution, in the foreground. */
const programs: Readonly<
  Record<string, (folder: string) => { readonly command: string; readonly args?: readonly string[] }>
> = {
  traefik: (folder) => ({
    command: "/usr/bin/docker",
    args: ["compose", "--file", `${folder}/proxy/docker-compose.yml`, "up"],
  }),
  caddy: (folder) => caddySupervision({}, { folder, command: "/usr/bin/caddy" }),
  envoy: (folder) => envoySupervision({}, { folder, command: "/usr/bin/envoy" }),
}

const unit =
  (kind: UnitKind): Exporters["units"][string] =>
  ({ front, folder }) => {
    if (!Object.hasOwn(programs, front)) return undefined
    const { command, args = [] } = programs[front]!(folder)
    return unitFile(kind, { name: front, command, args }).text
  }

/** Every front and unit file of this package, by the name that the command knows it under. */
export const exporters: Exporters = {
  fronts: {
    traefik: traefikProjectFront,
    caddy: {
      isProxy: true,
      variables: { LETSENCRYPT_EMAIL: "public" },
      export: (input, { variables }) =>
        exportCaddy(input, { certificates: { issuer: { email: variables["LETSENCRYPT_EMAIL"]! } } }),
    },
    envoy: {
      isProxy: true,
      // Its options, certificates above all.
      overrides: "given",
      export: (input, { folder, overrides }) => exportEnvoy(input, { folder, ...overrides }),
    },
    zone: {
      isProxy: false,
      requires: ["routerIP"],
      // Without it nothing is generated: see `requires`.
      export: (input, { settings }) =>
        settings?.routerIP === undefined
          ? { files: [], problems: [] }
          : zoneRecords(input, settings.routerIP, [settings.traefikDomain]),
    },
  },
  units: { systemd: unit("systemd"), supervisord: unit("supervisord"), s6: unit("s6") },
}
