/** The command with a front of the tests, as a process. */
import { exporters, runGenerate } from "../../src/generate.ts"
import { runProcess } from "../../src/generate/run-process.ts"
import { jsonFront } from "./json-front.ts"

const fronts = {
  ...exporters.fronts,
  json: jsonFront,
  needy: {
    ...jsonFront,
    variables: { LETSENCRYPT_EMAIL: "public", TRAEFIK_ADMIN: "secret" },
    requires: ["traefikDomain"],
  },
  // Many files, for a process that is ended while it writes.
  many: {
    isProxy: false,
    export: () => ({
      files: Array.from({ length: 400 }, (_, at) => ({
        path: `f${String(at).padStart(3, "0")}`,
        text: "x".repeat(10_000),
      })),
      problems: [],
    }),
  },
} as const

await runProcess((surroundings) =>
  runGenerate(process.argv.slice(2), {
    ...surroundings,
    exporters: { fronts, units: { systemd: ({ front, folder }) => `[Unit]\nDescription=${front}\n# ${folder}\n` } },
  }),
)
