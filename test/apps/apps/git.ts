import { execFile } from "node:child_process"
import { randomBytes } from "node:crypto"
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { promisify } from "node:util"
import { expect } from "vitest"
import { environment, startServer } from "../process.ts"
import { missingPrograms } from "../system.ts"
import type { RealApp } from "../real-app.ts"

const run = promisify(execFile)

/** Above `http.postBuffer`, 1 MiB: git sends it chunked. */
const BIG = 3 * 2 ** 20

export const git: RealApp = {
  name: "git over smart HTTP",
  version: "2.39",
  versionCommand: ["git", "--version"],
  command: "git http-backend",
  settings: {},
  fixture: "git",
  missing: missingPrograms("git"),
  start: async (cwd) => {
    await run("git", ["init", "--quiet", "--bare", join(cwd, "project.git")])
    // It takes pushes of whoever asks.
    await run("git", ["-C", join(cwd, "project.git"), "config", "http.receivepack", "true"])
    return startServer(cwd)
  },
  probes: [],
  checks: [
    {
      kinds: ["upload"],
      claim: "what is pushed by the public name is there in another clone",
      run: async ({ certificate, host, origin }) => {
        const home = await mkdtemp(join(tmpdir(), "git-"))
        try {
          await writeFile(join(home, "ca.pem"), certificate)
          const { hostname } = new URL(origin)
          const url = `https://${hostname}:${host.tlsPort}/project.git`
          const options = [
            ["http.sslCAInfo", join(home, "ca.pem")],
            ["http.curloptResolve", `${hostname}:${host.tlsPort}:127.0.0.1`],
            ["user.name", "misha"],
            ["user.email", "misha@ingress.test"],
            ["init.defaultBranch", "main"],
          ].flatMap(([name, value]) => ["-c", `${name}=${value}`])
          const call = (...args: string[]) => run("git", [...options, ...args], { cwd: home, env: environment(home) })

          const branch = host.name
          const sent = randomBytes(BIG)
          await call("init", "--quiet", "one")
          await writeFile(join(home, "one/file"), sent)
          await call("-C", "one", "add", "file")
          await call("-C", "one", "commit", "--quiet", "--message", "A file")
          await call("-C", "one", "push", "--quiet", url, `HEAD:refs/heads/${branch}`)
          await call("clone", "--quiet", "--branch", branch, url, "two")
          expect(sent.equals(await readFile(join(home, "two/file")))).toBe(true)
        } finally {
          await rm(home, { recursive: true, force: true })
        }
      },
    },
  ],
}
