import { spawnSync } from "node:child_process"
import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"

// The arrows are lint rules, and a lint rule whose glob is wrong is silent. So every arrow is broken here on purpose, in
// a folder of the same shape under the repository's own configuration, and must be reported; and every import an arrow
// allows must not be.
const root = new URL("..", import.meta.url).pathname
const effect = "effect/Effect"
const own = (name: string) => `@project-ingress/${name}`

const files: Record<string, { allows: string[]; refuses: string[] }> = {
  "packages/hostname/src/parse.ts": {
    allows: ["./format.ts"],
    refuses: [own("forward"), own("router/node"), effect, "effect", "jose", "node:net", "../../forward/src/forward.ts"],
  },
  "packages/hostname/src/schema.ts": {
    allows: ["effect/Schema", "./parse.ts"],
    refuses: ["effect", "effect/http", own("forward"), "node:fs", "jose"],
  },
  "packages/forward/src/ticket.ts": {
    allows: ["jose", "./headers.ts", "./http1/head.ts"],
    refuses: [
      own("hostname"),
      own("providers"),
      effect,
      "effect",
      "undici",
      "node:crypto",
      "../../router/src/router.ts",
    ],
  },
  "packages/forward/src/address.ts": {
    allows: ["./ip-address.ts"],
    refuses: ["ipaddr.js", "node:net", "undici", effect],
  },
  "packages/forward/src/http1/head.ts": { allows: ["../names.ts"], refuses: ["node:buffer", effect, "undici"] },
  "packages/forward/src/sockets/engine.ts": {
    allows: ["node:net", "node:timers/promises", "../http1.ts"],
    refuses: ["undici", effect, own("machine-proxy"), "ws"],
  },
  "packages/forward/src/fetch/node.ts": {
    allows: ["undici", "node:stream", "../headers.ts"],
    refuses: [effect, own("router"), "ws"],
  },
  "packages/forward/src/fetch/workers.ts": { allows: ["../headers.ts"], refuses: ["undici", "node:net", effect] },
  "packages/providers/src/providers.ts": {
    allows: [own("forward"), own("forward/fetch"), effect],
    refuses: ["effect", own("hostname"), own("router"), own("machine-proxy"), "node:net", "node:fs/promises", "jose"],
  },
  "packages/providers/src/adapters/docker/engine-client.ts": {
    allows: ["node:fs/promises", "./events.ts"],
    refuses: [own("router"), "undici", "../../machines/single-flight.ts", "../../transport/machine-fetcher.ts"],
  },
  "packages/providers/src/adapters/docker/docker.ts": {
    allows: ["node:net", "node:fs/promises", own("forward/http1"), effect, "../../contract/errors.ts"],
    refuses: ["effect", own("hostname"), "undici", "../local.ts", "../../providers.ts"],
  },
  "packages/providers/src/adapters/fly/fly.ts": {
    allows: [
      "./machines-api.ts",
      "../../contract/errors.ts",
      "../../adapter-kit/vendor-api.ts",
      own("forward"),
      effect,
    ],
    refuses: [
      "../../machines/machines.ts",
      "../../transport/fetch-response.ts",
      "../../testing/app.ts",
      "../../providers.ts",
      "../../effect.ts",
      "../docker/docker.ts",
      "node:http",
      "effect",
      own("router"),
    ],
  },
  "packages/providers/src/adapters/local.ts": {
    allows: ["../contract/machine-provider.ts", "../adapter-kit/metadata-decoder.ts", own("forward/internal")],
    refuses: ["../machines/waker.ts", "../providers.ts", "../transport/edge-headers.ts", "node:net"],
  },
  "packages/router/src/router.ts": {
    allows: [own("hostname"), own("forward"), own("providers"), own("providers/docker"), effect],
    refuses: ["effect", own("machine-proxy"), "node:net", "undici", "../../hostname/src/parse.ts"],
  },
  "packages/router/src/stores/memory.ts": {
    allows: ["./route-store.ts", "../errors.ts", own("hostname"), own("providers"), own("forward/internal")],
    refuses: [
      "node:fs",
      "effect",
      effect,
      own("machine-proxy"),
      own("providers/docker"),
      "../../../hostname/src/parse.ts",
      "../program/handle.ts",
      "../hosts/fetch.ts",
      "../policies/policy.ts",
      "../router.ts",
    ],
  },
  "packages/router/src/stores/registry/operations.ts": {
    allows: ["./state.ts", "../record.ts", "../../errors.ts", own("hostname"), own("forward/internal")],
    refuses: ["../../program/handle.ts", "../../router.ts", "../policies/policy.ts", effect, "node:fs"],
  },
  "packages/router/src/stores/sql/sql-registry.ts": {
    allows: ["./database.ts", "../registry/operations.ts", "../record.ts", own("hostname"), own("forward/internal")],
    refuses: ["../../program/handle.ts", "../../router.ts", "pg", "node:fs", effect],
  },
  "packages/router/src/stores/packed/pack-routes.ts": {
    allows: ["./head.ts", "../record.ts", "../decode-record.ts", own("hostname"), own("forward/internal")],
    refuses: ["../../program/handle.ts", "../../router.ts", "node:fs", "node:crypto", effect],
  },
  "packages/router/src/stores/reading/within.ts": {
    allows: ["./pause.ts", "../store-health.ts", own("forward/internal")],
    refuses: ["../record.ts", "../layered.ts", "../table/table-store.ts", "../../router.ts", "node:timers", effect],
  },
  "packages/router/src/stores/paged/page-publisher.ts": {
    allows: ["../reading/circuit.ts", "../packed/open-packed.ts", "../published/rounds.ts", "../route-feed.ts"],
    refuses: ["../layered/search.ts", "../table/table-store.ts", "../../router.ts", "node:fs", effect],
  },
  "packages/router/src/stores/table/table-store.ts": {
    allows: ["./feed-reader.ts", "../packed/open-packed.ts", "../route-store.ts", own("forward/internal")],
    refuses: ["../../program/handle.ts", "../../router.ts", "../sql/sql-registry.ts", "node:fs", effect],
  },
  "packages/router/src/stores/file-state.ts": {
    allows: ["./table/table-state.ts", "node:fs/promises", "node:path"],
    refuses: ["../program/handle.ts", "../router.ts", "effect", effect, own("machine-proxy")],
  },
  "packages/router/src/routes-command.ts": {
    allows: ["./stores/packed.ts", "./commands/diff-images.ts", "node:fs", "node:util"],
    refuses: [effect, "effect", own("machine-proxy"), "undici"],
  },
  "packages/router/src/commands/doctor/check-certificate.ts": {
    allows: ["./finding.ts", "../read-console.ts", "../../program/explanation.ts", "node:tls", "node:dns/promises"],
    refuses: [effect, "effect", own("machine-proxy"), own("forward"), "undici", "pg"],
  },
  "packages/router/src/commands/forward/forward-tcp.ts": {
    allows: ["./forward-options.ts", "../arguments.ts", own("forward/sockets"), "node:net", "node:dgram"],
    refuses: [effect, "effect", own("machine-proxy"), own("forward"), own("providers"), "undici"],
  },
  "packages/router/src/console/create-console.ts": {
    allows: ["../router-program.ts", own("forward/internal")],
    refuses: ["node:crypto", "effect", own("machine-proxy"), "undici"],
  },
  "packages/router/src/commands/edge/serve-edge.ts": {
    allows: [
      "../../router.ts",
      "../../hosts/node.ts",
      own("forward/fetch"),
      own("providers/upstream"),
      "pg",
      "node:http",
    ],
    refuses: [effect, "effect", own("machine-proxy"), "undici", "postgres"],
  },
  "packages/router/src/stores/polled/build-table.ts": {
    allows: ["../decode-record.ts", "./mapped-row.ts", own("hostname"), own("forward/internal")],
    refuses: ["../../program/handle.ts", "../../router.ts", "pg", "node:fs", effect],
  },
  "packages/router/src/commands/diff-images.ts": {
    allows: ["../stores/packed.ts"],
    refuses: ["node:fs", "effect", own("machine-proxy")],
  },
  "packages/router/src/stores/routes.ts": {
    allows: ["./route-store.ts", "../errors.ts", effect],
    refuses: ["effect", "../program/handle.ts", "node:fs"],
  },
  "packages/router/src/policies/visibility.ts": {
    allows: [
      "./policy.ts",
      "../errors.ts",
      "../hop/origin.ts",
      "../stores/record.ts",
      "../stores/reading/clock-table.ts",
      "../stores/route-store.ts",
      own("hostname"),
    ],
    refuses: [
      "../program/handle.ts",
      "../hosts/node.ts",
      "../stores/memory.ts",
      "../stores/routes.ts",
      effect,
      "node:net",
    ],
  },
  "packages/router/src/email/mail-receiver.ts": {
    allows: ["../hosts/deliver.ts", "../router-program.ts", own("hostname/email"), "standardwebhooks"],
    refuses: ["../hosts/node.ts", "../program/handle.ts", "../stores/memory.ts", effect, "node:crypto"],
  },
  "packages/router/src/access/sign-in.ts": {
    allows: ["../policies/policy.ts", "./cookies.ts", "../stores/reading/clock-table.ts", own("hostname"), "jose"],
    refuses: ["../program/handle.ts", "../hosts/node.ts", "../stores/memory.ts", effect, "node:crypto"],
  },
  "packages/router/src/hosts/node.ts": {
    allows: ["node:net", own("forward/sockets"), effect],
    refuses: ["effect", own("machine-proxy"), "undici"],
  },
  "packages/router/src/hosts/mount/mount.ts": {
    allows: ["node:http", "../router-engine.ts", own("forward/sockets"), effect],
    refuses: ["effect", own("machine-proxy"), "undici", "express", "hono"],
  },
  "packages/router/src/middleware.ts": {
    allows: ["./router-program.ts", own("hostname")],
    refuses: ["node:http", "hono", "h3", own("machine-proxy")],
  },
  "packages/router/src/hosts/tcp.ts": {
    allows: ["node:net", own("forward/sockets"), effect],
    refuses: ["effect", own("machine-proxy"), "undici"],
  },
  "packages/router/src/hosts/udp.ts": {
    allows: ["node:dgram", own("forward/sockets"), effect],
    refuses: ["effect", own("machine-proxy"), "undici"],
  },
  "packages/router/src/hosts/websocket/shake-hands.ts": {
    allows: ["./machine-socket.ts", own("forward/internal"), own("forward/sockets")],
    refuses: ["effect", own("machine-proxy"), "undici", "node:stream", "node:crypto"],
  },
  "packages/router/src/hosts/bun.ts": {
    allows: ["./websocket/handshake-host.ts", own("forward/internal")],
    refuses: ["effect", own("machine-proxy"), "undici", "node:net", "ws"],
  },
  "packages/machine-proxy/src/machine-proxy.ts": {
    allows: [own("forward"), own("forward/sockets"), "node:net"],
    refuses: [effect, "effect", own("hostname"), own("providers"), own("router"), "jose"],
  },
  "packages/ingress/src/ingress.ts": {
    allows: [own("hostname"), own("router"), own("router/node"), effect, "./listen.ts"],
    refuses: ["effect", own("forward"), own("providers"), own("machine-proxy"), "node:net", "jose"],
  },
  "packages/ingress/src/files/generated-files.ts": {
    allows: ["./hand-edited.ts", "../fronts/front.ts", "node:fs/promises", "diff", own("router/internal")],
    refuses: [own("forward"), own("providers"), effect, "effect", "yaml", "undici"],
  },
  "packages/ingress/src/documents/yaml-text.ts": {
    allows: ["./merge-overrides.ts", "yaml", own("router/internal")],
    refuses: [own("forward"), effect, "node:fs", "diff"],
  },
  "packages/ingress/src/traefik/export-traefik.ts": {
    allows: ["./static.ts", "../documents/yaml-text.ts", own("router/internal")],
    refuses: [own("forward"), "effect", "node:fs", "diff", "yaml"],
  },
  "packages/ingress/src/traefik-front/roll-out.ts": {
    allows: ["./docker-command.ts", "../files/files-front.ts", "node:child_process", own("router/internal")],
    refuses: [own("forward"), effect, "effect", "diff", "yaml"],
  },
  "packages/ingress/src/storage/sql/sql-storage.ts": {
    allows: [own("router/internal"), effect, "../ingress-storage.ts"],
    refuses: ["effect", "node:fs", "node:crypto", "pg", own("machine-proxy")],
  },
  "packages/ingress/src/storage/file/file-storage.ts": {
    allows: [
      own("router/internal"),
      own("router/stores/file-state"),
      "node:fs/promises",
      "node:sqlite",
      "../one-by-one.ts",
    ],
    refuses: ["effect", effect, own("machine-proxy"), own("forward"), "undici", "pg"],
  },
  "packages/ingress/src/envoy/export-envoy.ts": {
    allows: ["./bootstrap.ts", "../fronts/front.ts", own("router/internal")],
    refuses: ["node:fs", "diff", "yaml", own("forward"), own("providers"), "effect"],
  },
  "packages/ingress/src/envoy/front/envoy-front.ts": {
    allows: ["node:fs/promises", "../export-envoy.ts", "../../files/generated-files.ts", own("router/internal")],
    refuses: ["yaml", own("forward"), own("machine-proxy"), effect, "effect"],
  },
  "packages/ingress/src/supervision/supervise-front.ts": {
    allows: ["node:child_process", "./unit-file.ts", own("router/internal")],
    refuses: ["yaml", "diff", own("forward"), own("machine-proxy"), effect, "effect"],
  },
  "packages/ingress/src/project-files/yaml-file.ts": {
    allows: ["yaml", effect, "../resource/ingress.ts", own("router/internal")],
    refuses: ["node:fs", "diff", "effect", own("forward"), own("providers")],
  },
  "packages/ingress/src/generate/run-generate.ts": {
    allows: ["node:fs/promises", "node:util", "../files/generated-files.ts", own("router/internal")],
    refuses: ["yaml", "effect", own("forward"), own("providers"), "undici"],
  },
  "packages/ingress/src/services.ts": {
    allows: [own("hostname"), own("router/stores/memory"), effect],
    refuses: ["node:fs", "yaml", "effect", own("forward")],
  },
  "packages/ingress/src/dns/zone-file/zone-file.ts": {
    allows: ["node:fs/promises", "node:child_process", own("router/internal"), "../dns-provider.ts"],
    refuses: ["dns-packet", effect, "effect", own("hostname"), own("forward"), "yaml"],
  },
  "packages/ingress/src/dns/responder/internal-dns.ts": {
    allows: ["node:dgram", "dns-packet", own("router/internal"), "../check-record.ts"],
    refuses: [effect, "effect", own("hostname"), own("forward"), "yaml"],
  },
  "packages/ingress/src/caddy/front/caddy-front.ts": {
    allows: [own("router/internal"), "node:http", "node:fs/promises", "diff", "../caddy-json.ts"],
    refuses: ["effect", own("forward"), "yaml", "jose"],
  },
  "packages/machine-proxy/src/effect.ts": {
    allows: [own("forward"), effect, "node:net"],
    refuses: ["effect", own("router"), "jose"],
  },
  "packages/machine-proxy/src/relay/relay-connection.ts": {
    allows: ["ws", "node:net", own("forward/http1"), "../machine-proxy.ts"],
    refuses: [effect, "effect", own("providers"), "undici", "jose"],
  },
  "packages/machine-proxy/src/effect/meter.ts": {
    allows: [own("forward"), effect, "node:net"],
    refuses: ["effect", own("router"), "jose"],
  },
  "packages/router/test/router.test.ts": {
    allows: ["node:net", "vitest", effect, own("machine-proxy")],
    refuses: ["effect"],
  },
  "examples/quickstart/src/main.ts": { allows: ["node:net", own("router")], refuses: ["effect"] },
}

const source = (imports: string[]) => imports.map((from, at) => `import * as m${at} from "${from}"\n`).join("")
// Each specifier stands in each of the ways to import it.
const ways: Record<string, (from: string) => string> = {
  import: (from) => `import { x } from "${from}"\nexport const y = x\n`,
  "import type": (from) => `import type { X } from "${from}"\nexport type Y = X\n`,
  export: (from) => `export { x } from "${from}"\n`,
  "import()": (from) => `export const y = await import("${from}")\n`,
}

let folder: string
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "arrows-"))
  cpSync(join(root, ".oxlintrc.json"), join(folder, ".oxlintrc.json"))
  symlinkSync(join(root, "node_modules"), join(folder, "node_modules"))
})
afterAll(() => rmSync(folder, { recursive: true }))

/** The restricted imports that oxlint reports, as "file:line". */
const reported = (sources: Record<string, string>): Set<string> => {
  for (const [file, text] of Object.entries(sources)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true })
    writeFileSync(join(folder, file), text)
  }
  const oxlint = join(root, "node_modules/.bin/oxlint")
  const run = spawnSync(oxlint, ["-f", "unix", ...Object.keys(sources)], { cwd: folder, encoding: "utf8" })
  if (run.error) throw run.error
  if (/Failed to|Invalid/.test(run.stdout)) throw new Error(run.stdout)
  const lines = run.stdout.split("\n").filter((line) => line.includes("no-restricted-imports"))
  return new Set(lines.map((line) => /^(\S+?:\d+):/.exec(line)?.[1] ?? line))
}

describe("the arrows between packages", () => {
  it("refuse every import they forbid and no import they allow", () => {
    const sources: Record<string, string> = {}
    const expected = new Set<string>()
    for (const [file, { allows, refuses }] of Object.entries(files)) {
      sources[file] = source([...refuses, ...allows])
      refuses.forEach((_, at) => expected.add(`${file}:${at + 1}`))
    }
    expect([...reported(sources)].toSorted()).toEqual([...expected].toSorted())
  })

  it.each(Object.entries(ways))("cannot be walked around by %s", (_, write) => {
    const file = "packages/forward/src/headers.ts"
    expect(reported({ [file]: write("effect/Effect") }).size).toBe(1)
    expect(reported({ [file]: write("@project-ingress/router") }).size).toBe(1)
    expect(reported({ [file]: write("jose") }).size).toBe(0)
  })
})
