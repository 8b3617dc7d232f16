/** The command where its driver is not installed: as one file, in a folder without packages. */
import { execFile } from "node:child_process"
import { join } from "node:path"
import { promisify } from "node:util"
import { build } from "esbuild"
import { expect, it } from "vitest"
import { inFolder } from "../../../../examples/machine-image/test/image.ts"
import { REGION } from "./edgeproxy-tables.ts"

it(
  "names the package pg where it is not installed, and how to install it, and ends with 1",
  () =>
    inFolder(async (folder) => {
      const outfile = join(folder, "edge.mjs")
      await build({
        entryPoints: [join(import.meta.dirname, "../../src/edge-command.ts")],
        outfile,
        bundle: true,
        platform: "node",
        format: "esm",
        target: "node22",
        conditions: ["@project-ingress/source"],
        external: ["pg"],
        banner: { js: 'import { createRequire as r } from "node:module"; const require = r(import.meta.url);' },
        logLevel: "error",
      })
      const env = { EDGEPROXY_DATABASE_URL: "postgres://user:hunter2@localhost/db", EDGEPROXY_REGION_ID: REGION }
      const started = promisify(execFile)(process.execPath, [outfile], { cwd: folder, env })
      await expect(started).rejects.toMatchObject({
        code: 1,
        stderr: "project-ingress-edge: the package pg is not installed: npm install pg\n",
      })
    }),
  60_000,
)
