/** What operators import: names that exist, queries that parse, rules that fire. */
import { execFileSync } from "node:child_process"
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { hostBounds } from "../../src/hosts/bounds.ts"
import { observe } from "../../src/observability.ts"
import { hostileEvents } from "./hostile-events.ts"
import { startTracedChain } from "./traced-chain.ts"

const root = join(import.meta.dirname, "../../../..")
const read = (path: string): string => readFileSync(join(root, path), "utf8")

interface Panel {
  readonly id: number
  readonly type: string
  readonly title: string
  readonly description?: string
  readonly datasource?: { readonly type: string; readonly uid: string }
  readonly gridPos: { readonly x: number; readonly y: number; readonly w: number; readonly h: number }
  readonly fieldConfig?: { readonly defaults: { readonly unit?: string } }
  readonly targets?: readonly {
    readonly refId: string
    readonly expr: string
    readonly legendFormat: string
    readonly datasource: { uid: string }
  }[]
}
interface Dashboard {
  readonly uid: string
  readonly title: string
  readonly schemaVersion: number
  readonly templating: { readonly list: readonly { readonly name: string; readonly type: string }[] }
  readonly panels: readonly Panel[]
}

const dashboard = JSON.parse(read("ops/grafana/project-ingress.json")) as Dashboard
const graphs = dashboard.panels.filter(({ type }) => type !== "row")
const queries = graphs.flatMap(({ targets = [] }) => targets.map(({ expr }) => expr))

/** The metrics of a text, of which a histogram's series are one. */
const metricsIn = (text: string): string[] => [
  ...new Set(
    [...text.matchAll(/\bingress_[a-z_]+/g)].map(([name]) => name.replace(/(?<=_seconds)_(?:bucket|sum|count)$/, "")),
  ),
]

let text = ""
let exported: string[] = []
beforeAll(async () => {
  const observed = observe()
  await using chain = await startTracedChain({ observed })
  observed.watchHost(chain.host)
  await chain.get()
  for (const event of hostileEvents("text", 500)) observed.onEvent(event)
  observed.onEvent({ type: "error", tag: "ProxyFailed", reason: "a test", cause: undefined })
  const bounds = hostBounds(
    { client: { requests: 1 } },
    { limits: chain.host.limits, isProxy: () => false, report: () => {} },
  )
  for (let n = 0; n < 2; n++) bounds.enter({ clientAddress: "192.0.2.7" }, false)
  text = observed.metricsText()
  exported = text
    .split("\n")
    .filter((line) => line.startsWith("# TYPE "))
    .map((line) => line.split(" ")[2]!)
    .filter((name) => name.startsWith("ingress_"))
})

describe("the table of metrics in docs/observability.md", () => {
  it("has each metric that routers and machine proxies export, with its kind and its labels, and no other", () => {
    const rows = [...read("docs/observability.md").matchAll(/^\| `(ingress_[a-z_]+)` +\| (\w+) +\|([^|]*)\|/gm)]
    expect(rows.map(([, name = ""]) => name).toSorted()).toEqual([...exported].toSorted())
    for (const [, name = "", kind, labels = ""] of rows) {
      expect(text).toContain(`# TYPE ${name} ${kind}`)
      const series = text.split("\n").find((line) => new RegExp(`^${name}(?:_count)?(?:\\{| )`).test(line))!
      const found = [...series.matchAll(/(\w+)="/g)].map(([, label]) => label)
      expect(
        [...labels.matchAll(/`(\w+)`/g)].map(([, label]) => label),
        name,
      ).toEqual(found)
    }
  })
})

describe("the dashboard", () => {
  it("asks for metrics that exist, and for each of them but what another shows", () => {
    const asked = metricsIn(queries.join("\n"))
    expect(asked.filter((name) => !exported.includes(name))).toEqual([])
    // The same as bounds_reached, which is there in every registry.
    expect(exported.filter((name) => !asked.includes(name))).toEqual(["ingress_refused_total"])
  })

  it("has in each panel a query, a unit, a description and the data source that was chosen", () => {
    expect(dashboard.templating.list.map(({ name, type }) => [name, type])).toEqual([
      ["datasource", "datasource"],
      ["job", "query"],
    ])
    for (const { title, targets = [], fieldConfig, description, datasource } of graphs) {
      expect(targets.length, title).toBeGreaterThan(0)
      expect(fieldConfig?.defaults.unit, title).toMatch(/^(?:reqps|percentunit|s|short|Bps)$/)
      expect(description, title).toMatch(/\.$/)
      expect(datasource, title).toEqual({ type: "prometheus", uid: "${datasource}" })
      for (const { datasource, expr, legendFormat } of targets) {
        expect(datasource.uid).toBe("${datasource}")
        expect(legendFormat, title).not.toBe("")
        // Each selector is of the chosen jobs, and each rate of an interval that scrapes fill.
        for (const [, selector] of expr.matchAll(/\{([^}]*)\}/g)) expect(selector, title).toContain('job=~"$job"')
        for (const [, range] of expr.matchAll(/\[([^\]]*)\]/g)) expect(range, title).toBe("$__rate_interval")
        for (const [, label] of legendFormat.matchAll(/\{\{(\w+)\}\}/g))
          expect(expr, title).toMatch(new RegExp(`by \\([^)]*\\b${label}\\b`))
      }
    }
  })

  it("has panels of one id each, none above another", () => {
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) => {
      expect(x + w).toBeLessThanOrEqual(24)
      return Array.from({ length: w * h }, (_, at) => `${x + (at % w)},${y + Math.floor(at / w)}`)
    })
    expect(new Set(cells).size).toBe(cells.length)
    expect(dashboard.schemaVersion).toBeGreaterThanOrEqual(36)
  })
})

describe("the alert rules", () => {
  it("ask for metrics that exist", () => {
    const asked = metricsIn(read("ops/alerts.yml"))
    expect(asked.length).toBeGreaterThan(8)
    expect(asked.filter((name) => !exported.includes(name))).toEqual([])
  })

  it("see the first event of what must never happen, because its series begin at 0", () => {
    const observed = observe()
    observed.instrument.configured?.({ policies: ["visibility"], providers: ["fly"] })
    const lines = observed.metricsText().split("\n")
    expect(lines).toEqual(
      expect.arrayContaining([
        'ingress_proof_events_total{provider="fly",outcome="wrong_stamp"} 0',
        'ingress_machine_health_total{provider="fly",state="kept"} 0',
        'ingress_wakes_total{provider="fly",outcome="failed"} 0',
        'ingress_provider_events_total{provider="fly",operation="start",state="failing"} 0',
        'ingress_policy_outcomes_total{policy="visibility",decision="failed"} 0'.replace("ingress_", "ingress_router_"),
        'ingress_router_errors_total{tag="ProxyFailed"} 0',
      ]),
    )
  })
})

const LACKING = "no promtool, of Debian's package prometheus"

describe("promtool", () => {
  const folder = mkdtempSync(join(tmpdir(), "ingress-ops-"))
  afterAll(() => rmSync(folder, { recursive: true }))
  const promtool = (...args: string[]): string | undefined => {
    try {
      return execFileSync("promtool", args, { cwd: root, encoding: "utf8", stdio: "pipe" })
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: string; stdout?: string; stderr?: string }
      if (code === "ENOENT") return undefined
      throw new Error(`promtool ${args.join(" ")}: ${stdout}${stderr}`, { cause: error })
    }
  }

  it.for([
    ["accepts the alert rules", "check", "rules", "ops/alerts.yml"],
    ["sees them fire, and be silent, as their tests say", "test", "rules", "ops/alerts.test.yml"],
    ["accepts the scrape configuration", "check", "config", "ops/prometheus.yml"],
  ])("%s", ([, ...args], ctx) => {
    const said = promtool(...args)
    if (said === undefined) ctx.skip(LACKING)
    expect(said).toContain("SUCCESS")
  })

  it("parses every query of the dashboard", (ctx) => {
    const rules = queries.map((query, at) => {
      const expr = query.replaceAll("$__rate_interval", "5m").replaceAll("$job", "ingress-.+")
      return `      - { record: "dashboard:query:${at}", expr: ${JSON.stringify(expr)} }`
    })
    const file = join(folder, "queries.yml")
    writeFileSync(file, ["groups:", "  - name: dashboard", "    rules:", ...rules, ""].join("\n"))
    const said = promtool("check", "rules", file)
    if (said === undefined) ctx.skip(LACKING)
    expect(said).toContain(`${queries.length} rules found`)
  })
})
