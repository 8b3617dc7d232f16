/** Reading project files and making Traefik's files of them, and the export of as many ingresses. Processor time of this thread, in ms. */
import { decodeIngress } from "../src/resource/decode-ingress.ts"
import type { DeclaredIngress } from "../src/resource/ingress.ts"
import { exporters } from "../src/project-files/exporters.ts"
import { generateFiles } from "../src/project-files/generate-files.ts"
import { readProjects } from "../src/project-files/read-projects.ts"
import { exportTraefik } from "../src/traefik/export-traefik.ts"

const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
const measured = async <T>(name: string, run: () => T | Promise<T>): Promise<T> => {
  const from = cpuMs()
  const result = await run()
  console.log(`${name}: ${(cpuMs() - from).toFixed(0)} ms`)
  return result
}

const compose = "services:\n  web:\n    image: nginx\n    volumes: [./data:/data]\n  db:\n    image: postgres\n"
const traefik = exporters.fronts["traefik"]!
const variables = {
  LETSENCRYPT_EMAIL: "me@example.com",
  TRAEFIK_ADMIN: "me:$apr1$zb1QZqgN$kXbIfmtDKdrDBuy3wzpL41",
}

for (const count of [1_000, 10_000]) {
  const files = new Map([["itsup.yml", "traefikDomain: traefik.example.com\n"]])
  for (let at = 0; at < count; at++) {
    files.set(`p${at}/docker-compose.yml`, compose)
    files.set(
      `p${at}/itsup-project.yml`,
      `ingress:\n  - {service: web, domain: p${at}.example.com, port: 80}\n  - {service: db, router: tcp, domain: db.p${at}.example.com, passthrough: true, port: 5432}\n`,
    )
  }
  const projects = await measured(`read ${count} projects`, () => readProjects(files))
  const { settings } = projects
  await measured(`generate ${count} projects`, () =>
    generateFiles(projects, traefik, { folder: "/out", settings: settings!, variables }),
  )

  const ingresses = await Promise.all(
    Array.from({ length: count }, async (_, at): Promise<DeclaredIngress> => {
      const { name, rules } = await decodeIngress({
        name: `n${at}`,
        rules: [
          {
            match: { hostname: `h${at}.example.com` },
            target: { url: `http://10.0.0.1:${(at % 60_000) + 1}` },
            tls: true,
            redirectHttp: true,
          },
          { match: { hostname: `h${at}.example.com`, path: "/api" }, target: { url: "http://10.0.0.2" }, tls: true },
        ],
      })
      return { id: `i${at}`, name, rules, version: 1, createdAt: at, updatedAt: at }
    }),
  )
  const input = { ingresses, address: () => undefined }
  await measured(`export ${count} ingresses for Traefik`, () => exportTraefik(input))
  const [wide] = (
    await decodeIngress({
      name: "wide",
      rules: [{ match: { hostname: "*.example.com" }, target: { url: "http://10.0.0.9" } }],
    })
  ).rules
  const all = [...ingresses, { ...ingresses[0]!, id: "w", name: "wide", rules: [wide!] }]
  await measured(`export ${count} ingresses inside a pattern`, () => exportTraefik({ ...input, ingresses: all }))
}
