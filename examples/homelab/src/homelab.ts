import { copyFile } from "node:fs/promises"
import { join } from "node:path"
import { exporters, runGenerate } from "@project-ingress/ingress/generate"

/** What the files are made of, and where they go. */
export interface Homelab {
  readonly out: string
  readonly environment: Readonly<Record<string, string | undefined>>
  readonly print: (text: string) => void
}

const folder = join(import.meta.dirname, "..")

/** Traefik's files and the zone of the DNS server. Resolves to the exit code of the first that failed, 0 if none did. */
export const homelab = async ({ out, environment, print }: Homelab): Promise<number> => {
  for (const front of ["traefik", "zone"]) {
    const code = await runGenerate(["projects", "--front", front, "--out", join(out, front), "--apply"], {
      exporters,
      environment,
      workingDirectory: folder,
      stdout: { write: print },
      stderr: { write: print },
    })
    if (code !== 0) return code
  }
  // The zone is written by hand; only the records that it includes are generated.
  await copyFile(join(folder, "zone/home.example.zone"), join(out, "zone/home.example.zone"))
  return 0
}
