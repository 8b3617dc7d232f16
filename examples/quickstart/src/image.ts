import { execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, rm, symlink, writeFile } from "node:fs/promises"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import type { Readable } from "node:stream"
import { fileURLToPath } from "node:url"
import { promisify } from "node:util"
import { build } from "esbuild"
import { app, proxyCommand } from "./sources.ts"

/** What the image runs. */
export const command = ["/bin/node", "--import", "/app/app.mjs", "/app/proxy.mjs"]

/**
 * The root of a machine's image as a tar stream: the very `node` that runs this, the libraries it is linked to, and two
 * bundles. Made of what is here, so nothing is pulled from anywhere. The folder with the links goes when `dispose` is called.
 */
export const imageRoot = async (signal: AbortSignal): Promise<{ readonly tar: Readable; dispose(): Promise<void> }> => {
  const root = await mkdtemp(join(tmpdir(), "project-ingress-demo-"))
  const dispose = () => rm(root, { recursive: true, force: true })
  try {
    const place = async (inside: string, outside: string): Promise<void> => {
      await mkdir(dirname(join(root, inside)), { recursive: true })
      await symlink(outside, join(root, inside))
    }
    await place("bin/node", process.execPath)
    for (const library of await libraries(signal)) await place(library, library)
    for (const folder of ["etc", "tmp", "app"]) await mkdir(join(root, folder), { recursive: true })
    await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/:/bin/node\nnobody:x:65534:65534:nobody:/:/bin/node\n")
    await writeFile(join(root, "etc/nsswitch.conf"), "hosts: files dns\n")
    await build({
      entryPoints: { app: fileURLToPath(app), proxy: fileURLToPath(proxyCommand) },
      outdir: join(root, "app"),
      outExtension: { ".js": ".mjs" },
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node22",
      conditions: ["@project-ingress/source"],
      // Optional parts of ws, and its `require` of Node's own modules.
      external: ["bufferutil", "utf-8-validate"],
      banner: { js: 'import { createRequire } from "node:module"; const require = createRequire(import.meta.url);' },
      logLevel: "error",
    })
    // -h: what the links point to. Portable, and nothing is copied to disk first.
    const tar = spawn("tar", ["-chf", "-", "--owner=0", "--group=0", "-C", root, "."], {
      stdio: ["ignore", "pipe", "inherit"],
      signal,
    })
    tar.on("error", (error) => tar.stdout.destroy(error))
    tar.on("exit", (code) => {
      if (code !== 0) tar.stdout.destroy(new Error(`tar exited with ${code}`))
    })
    return { tar: tar.stdout, dispose }
  } catch (error) {
    await dispose()
    throw error
  }
}

/** The libraries that `node` is linked to, and those that glibc loads by itself to look names up. */
const libraries = async (signal: AbortSignal): Promise<readonly string[]> => {
  const { stdout } = await promisify(execFile)("ldd", [process.execPath], { signal })
  const linked = [...stdout.matchAll(/(\/\S+) \(0x/g)].map((match) => match[1]!)
  const libc = linked.find((path) => path.includes("libc.so"))
  const loaded = libc === undefined ? [] : ["libnss_dns.so.2", "libnss_files.so.2", "libresolv.so.2"]
  return [
    ...new Set([...linked, ...loaded.map((name) => join(dirname(libc!), name)).filter((path) => existsSync(path))]),
  ]
}
