import { readFileSync } from "node:fs"
import { fileURLToPath } from "node:url"
import { expect, it } from "vitest"
import { markdownTable, withTable } from "../../scripts/tables.ts"
import { realApps } from "./all-apps.ts"
import { hostNames } from "./chain.ts"

const file = fileURLToPath(new URL("../../docs/frameworks.md", import.meta.url))

const apps = Object.values(realApps).flat()

/** What the tests of each app claim. */
const appRows = [
  ["app", "version", "started by", "settings of its port", "what passed", "with a router on"],
  ...apps.map(({ name, version, command, settings, checks }) => [
    name,
    version,
    `\`${command}\``,
    Object.entries(settings)
      .map(([key, value]) => `\`${key}: ${JSON.stringify(value)}\``)
      .join(", "),
    [...new Set(checks.flatMap(({ kinds }) => kinds))].join(", "),
    hostNames.join(", "),
  ]),
]

/** What depends on the name that an app sees. */
const nameRows = [
  ["app", "request", "by default", '`appOrigin: "public"`'],
  ...apps.flatMap(({ name, probes }) =>
    probes.map(({ request, byDefault, withPublicName }) => [name, request, byDefault, withPublicName]),
  ),
]

it("docs/frameworks.md has the tables that the tests make true (a wanted change: -u)", async () => {
  const page = readFileSync(file, "utf8")
  const made = Object.entries({ apps: appRows, names: nameRows }).reduce(
    (text, [mark, [head, ...rows]]) => withTable(text, mark, markdownTable(head!, rows)),
    page,
  )
  await expect(made).toMatchFileSnapshot(file)
})
