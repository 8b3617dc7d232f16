import { exporters as own } from "../../src/generate.ts"
import type { Exporters } from "../../src/generate.ts"
import { jsonFront } from "./json-front.ts"

/** The package's own, and fronts of the tests. */
export const exporters: Exporters = {
  fronts: {
    zone: own.fronts["zone"]!,
    json: jsonFront,
    needy: {
      ...jsonFront,
      variables: { LETSENCRYPT_EMAIL: "public", TRAEFIK_ADMIN: "secret" },
      requires: ["traefikDomain"],
    },
    picky: {
      ...jsonFront,
      export: () => {
        throw new TypeError("exportPicky: overrides.a is a list")
      },
    },
    // Many files, for a process that is ended while it writes.
    many: {
      isProxy: false,
      export: () => ({
        files: Array.from({ length: 200 }, (_, at) => ({
          path: `f${String(at).padStart(3, "0")}`,
          text: "x".repeat(10_000),
        })),
        problems: [],
      }),
    },
  },
  units: { systemd: ({ front, folder }) => `[Unit]\nDescription=${front}\n# ${folder}\n` },
}
