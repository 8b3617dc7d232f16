import { spawn } from "node:child_process"
import { once } from "node:events"
import { mkdir, writeFile } from "node:fs/promises"
import { dirname, join } from "node:path"
import { Resolver } from "node:dns/promises"
import { setTimeout as pause } from "node:timers/promises"
import type { ZoneChecker } from "@project-ingress/ingress/dns/zone-file"
import { freePort } from "../../../../test/free-port.ts"
import { origin, programPath } from "./zones.ts"

/** A DNS server that reads the zone of a file. */
export interface DnsServer {
  readonly program: string
  readonly check: ZoneChecker
  readonly config: (of: { port: number; folder: string; zone: string; pidFile: string }) => string
  readonly args: (config: string) => readonly string[]
}

/** Those that tests know. */
export const dnsServers: readonly DnsServer[] = [
  {
    program: "knotd",
    check: "kzonecheck",
    args: (config) => ["-c", config],
    config: ({ port, folder, zone, pidFile }) => `
server:
    listen: 127.0.0.1@${port}
    rundir: ${folder}
    pidfile: ${pidFile}
database:
    storage: ${folder}
zone:
  - domain: ${origin}
    file: ${zone}
    zonefile-sync: -1
    journal-content: none
`,
  },
  {
    program: "nsd",
    check: "nsd-checkzone",
    args: (config) => ["-d", "-c", config],
    config: ({ port, folder, zone, pidFile }) => `
server:
    ip-address: 127.0.0.1@${port}
    username: ""
    database: ""
    pidfile: ${pidFile}
    zonesdir: ${folder}
    xfrdir: ${folder}
    xfrdfile: ${folder}/xfrd.state
    zonelistfile: ${folder}/zone.list
remote-control:
    control-enable: no
zone:
    name: ${origin}
    zonefile: ${zone}
`,
  },
]

/** Whether a server and its checker are installed. */
export const isInstalled = ({ program, check }: DnsServer): boolean =>
  programPath(program) !== undefined && programPath(check) !== undefined

/** Starts a server on a zone's file, with what it needs in a folder beside it. Resolves when it serves the zone. */
export const startDnsServer = async ({ program, config, args }: DnsServer, zone: string) => {
  const folder = join(dirname(zone), "server")
  await mkdir(folder)
  const port = await freePort()
  const pidFile = join(folder, "pid")
  const configured = join(folder, "config")
  await writeFile(configured, config({ port, folder, zone, pidFile }))
  const process = spawn(programPath(program)!, args(configured), { stdio: "ignore" })
  const resolver = new Resolver({ timeout: 1_000, tries: 1 })
  resolver.setServers([`127.0.0.1:${port}`])
  const serial = async () => (await resolver.resolveSoa(origin).catch(() => undefined))?.serial
  while ((await serial()) === undefined) {
    if (process.exitCode !== null) throw new Error(`${program} ended`)
    await pause(20)
  }
  return {
    pidFile,
    resolver,
    serial,
    stop: async () => {
      const ended = process.exitCode === null && process.signalCode === null ? once(process, "exit") : undefined
      // Not SIGKILL: nsd ends the processes that it has started.
      process.kill("SIGTERM")
      await ended
    },
  }
}
