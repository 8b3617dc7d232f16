import { spawnSync } from "node:child_process"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { zoneFile } from "@project-ingress/ingress/dns/zone-file"
import type { ZoneFileOptions } from "@project-ingress/ingress/dns/zone-file"
import type { DnsProvider } from "@project-ingress/ingress/dns"

export const origin = "internal.example.com"

/** What an operator has before anything is exposed. */
export const written = `$ORIGIN internal.example.com.
$TTL 3600
@ IN SOA ns hostmaster (
    2026112907 ; the serial
    3600 600 86400 60 )
  IN NS ns
ns      IN A 127.0.0.1
nas 300 IN A 100.64.0.9 ; by hand
        IN TXT "a; \\"quoted\\" text" ( "and"
  more )
mail    IN CNAME nas
`

/** 2026-11-30 12:00 UTC. */
export const noon = Date.UTC(2026, 10, 30, 12)

export interface TestZone {
  readonly path: string
  readonly dns: DnsProvider
  /** The file, now. */
  readonly text: () => Promise<string>
  readonly edit: (change: (text: string) => string) => Promise<void>
  readonly remove: () => Promise<void>
}

/** A zone file in a folder of its own. */
export const testZone = async (options: Partial<ZoneFileOptions> = {}, text = written): Promise<TestZone> => {
  const folder = await mkdtemp(join(tmpdir(), "zone-"))
  const path = join(folder, "zone.db")
  await writeFile(path, text)
  return {
    path,
    dns: zoneFile({ path, origin, now: () => noon, ...options }),
    text: () => readFile(path, "utf8"),
    edit: async (change) => writeFile(path, change(await readFile(path, "utf8"))),
    remove: () => rm(folder, { recursive: true }),
  }
}

/** The path of a program, also of those in `sbin`; `undefined`: it is not installed. */
export const programPath = (name: string): string | undefined => {
  const { stdout } = spawnSync("sh", ["-c", `PATH=$PATH:/usr/sbin:/sbin; command -v ${name}`], { encoding: "utf8" })
  return stdout.trim() || undefined
}
