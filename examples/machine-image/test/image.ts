/**
 * Builds the image of this folder from what is here: with `node:24-slim` when the engine has it, else with a base of the same
 * shape, Debian with Node, npm and a user `node`, made once from Debian's packages. No image registry is asked.
 */
import { execFile, spawn } from "node:child_process"
import { existsSync } from "node:fs"
import { mkdir, mkdtemp, readdir, realpath, rm, symlink, writeFile } from "node:fs/promises"
import { createRequire } from "node:module"
import { tmpdir } from "node:os"
import { dirname, join } from "node:path"
import { finished } from "node:stream/promises"
import { promisify } from "node:util"
import { build } from "esbuild"

const LABEL = "project-ingress.test"
// A part of the base's name: change it with what goes into it.
const RECIPE = "1"
const TARBALL = "/opt/machine-proxy.tgz"
const PULLED = "node:24-slim"

const here = join(import.meta.dirname, "..")
const proxy = dirname(createRequire(import.meta.url).resolve("@project-ingress/machine-proxy/package.json"))

/** Builds the image on a base and gives its name. `remove` leaves the base, so that the next build is a matter of seconds. */
export const buildImage = async (base: string): Promise<{ readonly name: string; remove(): Promise<void> }> => {
  const own = `project-ingress-test/machine-image:${process.pid}`
  const withTarball = `${own}-base`
  const remove = async (): Promise<void> => {
    await run("docker", ["image", "rm", "--force", own, withTarball])
  }
  try {
    await inFolder(async (folder) => {
      await machineProxyTarball(join(folder, "machine-proxy.tgz"))
      await writeFile(join(folder, "Dockerfile"), `FROM ${base}\nCOPY machine-proxy.tgz ${TARBALL}\n`)
      await dockerBuild(folder, withTarball)
    })
    await dockerBuild(here, own, { BASE: withTarball, MACHINE_PROXY: TARBALL })
  } catch (error) {
    await remove().catch(() => undefined)
    throw error
  }
  return { name: own, remove }
}

/** Why there is no base image and none can be made, or `undefined`. */
export const baseMissing = async (): Promise<string | undefined> => {
  if ((await hasImage(PULLED)) || (await hasImage(ownBase))) return undefined
  const debian = existsSync("/etc/debian_version") && existsSync("/usr/share/keyrings/debian-archive-keyring.gpg")
  return debian
    ? undefined
    : `the engine has no ${PULLED} (docker pull ${PULLED}), and this is no Debian to make one from`
}

const ownBase = `project-ingress-test/debian-node:${process.versions.node}-${RECIPE}`

/** The name of the base, which is made where it is missing. Rejects where packages cannot be downloaded. */
export const makeBase = async (): Promise<string> => {
  if (await hasImage(PULLED)) return PULLED
  if (await hasImage(ownBase)) return ownBase
  console.log("machine-image: makes a Debian with Node, once; this takes about half a minute")
  await inFolder(async (folder) => {
    await importDebian(folder, `${ownBase}-debian`)
    const context = join(folder, "context")
    await mkdir(context)
    await symlink(process.execPath, join(context, "node"))
    await symlink(await npmFolder(), join(context, "npm"))
    await writeFile(
      join(context, "Dockerfile"),
      `FROM ${ownBase}-debian
COPY node /usr/local/bin/node
COPY npm /usr/local/lib/node_modules/npm
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \\
 && groupadd --gid 1000 node && useradd --uid 1000 --gid node --create-home node
`,
    )
    await dockerBuild(context, ownBase)
    await run("docker", ["image", "rm", `${ownBase}-debian`])
  })
  return ownBase
}

/** A minimal Debian from its packages, with s6 inside: then `apt-get install s6` also passes in a build without a network. */
const importDebian = async (folder: string, name: string): Promise<void> => {
  await run("apt-get", ["download", "-o", "APT::Sandbox::User=root", "mmdebstrap"], folder)
  const [deb] = await readdir(folder)
  await run("dpkg-deb", ["-x", deb!, "tool"], folder)
  const script = join(folder, "tool/usr/bin/mmdebstrap")
  // unsafe-io: what a crash would lose is thrown away anyway.
  const options = ["--quiet", "--variant=apt", "--include=s6", "--dpkgopt=force-unsafe-io"]
  const make = spawn("perl", [script, ...options, "bookworm", "-"], { stdio: ["ignore", "pipe", "inherit"] })
  await feed(make.stdout, ["import", "--change", `LABEL ${LABEL}.image=1`, "-", name])
}

/** Where the npm that is on PATH lives. */
const npmFolder = async (): Promise<string> => {
  const command = (process.env["PATH"] ?? "").split(":").map((folder) => join(folder, "npm"))
  const found = command.find((path) => existsSync(path))
  if (found === undefined) throw new Error("no npm on PATH")
  return dirname(dirname(await realpath(found)))
}

/** What `npm install` takes: the command from source in one file, so that neither a build nor a registry is needed. */
const machineProxyTarball = (file: string): Promise<void> =>
  inFolder(async (folder) => {
    await build({
      entryPoints: [join(proxy, "src/bin.ts")],
      outfile: join(folder, "package/dist/bin.js"),
      bundle: true,
      platform: "node",
      format: "esm",
      target: "node22",
      conditions: ["@project-ingress/source"],
      logLevel: "error",
    })
    const manifest = { name: "@project-ingress/machine-proxy", version: "0.0.0", type: "module" }
    const bin = { "project-ingress-machine-proxy": "dist/bin.js" }
    await writeFile(join(folder, "package/package.json"), JSON.stringify({ ...manifest, bin }))
    await run("tar", ["-czf", file, "package"], folder)
  })

export const dockerBuild = async (context: string, tag: string, values: Readonly<Record<string, string>> = {}) => {
  const given = Object.entries(values).flatMap(([name, value]) => ["--build-arg", `${name}=${value}`])
  // -h: what the links point to, so that nothing is copied to disk first.
  const tar = spawn("tar", ["-C", context, "-ch", "."], { stdio: ["ignore", "pipe", "inherit"] })
  await feed(tar.stdout, ["build", "--force-rm", "--label", `${LABEL}.image=1`, ...given, "--tag", tag, "-"])
}

/** A `docker` command that reads a stream; an error that holds what it printed. */
const feed = async (input: NodeJS.ReadableStream, args: readonly string[]): Promise<void> => {
  const child = spawn("docker", args, { stdio: ["pipe", "pipe", "pipe"] })
  let output = ""
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (data: Buffer) => (output += data.toString()))
  const ended = new Promise<number | null>((resolve, reject) => {
    child.once("error", reject)
    child.once("close", resolve)
  })
  // When docker stops reading, its own message says why.
  input.pipe(child.stdin).on("error", () => undefined)
  await finished(input).catch(() => undefined)
  const code = await ended
  if (code !== 0) throw new Error(`docker ${args.join(" ")} ended with ${code}\n\n${output}`)
}

const hasImage = (name: string): Promise<boolean> =>
  run("docker", ["image", "inspect", "--format", "{{.Id}}", name]).then(
    () => true,
    () => false,
  )

export const inFolder = async (work: (folder: string) => Promise<void>): Promise<void> => {
  const folder = await mkdtemp(join(tmpdir(), "ingress-image-"))
  try {
    await work(folder)
  } finally {
    await rm(folder, { recursive: true, force: true })
  }
}

export const run = async (command: string, args: readonly string[], cwd?: string): Promise<string> =>
  (await promisify(execFile)(command, args, cwd === undefined ? {} : { cwd })).stdout.trim()
