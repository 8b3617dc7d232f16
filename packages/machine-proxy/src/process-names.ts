import { readdir, readFile, readlink } from "node:fs/promises"
import { basename } from "node:path"

// A machine with more is looked at in part: names are a convenience.
const MAX_PROCESSES = 4_096
const MAX_DESCRIPTORS = 65_536
const MAX_NAME = 64

/**
 * Names the processes that hold sockets, by the sockets' inodes, as far as Linux lets this process read them. Each inode is looked for once: what
 * is found is kept as long as it is asked for.
 */
export const processNames = (proc: string) => {
  let known: ReadonlyMap<string, string | undefined> = new Map()
  return async (inodes: readonly string[]): Promise<ReadonlyMap<string, string | undefined>> => {
    const wanted = new Set(inodes.filter((inode) => !known.has(inode)))
    const found = wanted.size === 0 ? undefined : await search(proc, wanted)
    known = new Map(inodes.map((inode) => [inode, found?.get(inode) ?? known.get(inode)]))
    return known
  }
}

const search = async (proc: string, wanted: ReadonlySet<string>): Promise<ReadonlyMap<string, string>> => {
  const found = new Map<string, string>()
  let descriptors = 0
  const pids = (await namesIn(proc)).filter((name) => /^\d+$/.test(name)).slice(0, MAX_PROCESSES)
  for (const pid of pids) {
    if (found.size === wanted.size || descriptors >= MAX_DESCRIPTORS) break
    // oxlint-disable-next-line no-await-in-loop -- all at once would open as many files as there are
    const fds = await namesIn(`${proc}/${pid}/fd`)
    descriptors += fds.length
    // oxlint-disable-next-line no-await-in-loop
    const links = await Promise.all(fds.slice(0, 1_024).map((fd) => linkOf(`${proc}/${pid}/fd/${fd}`)))
    const held = links
      .flatMap((link) => /^socket:\[(\d+)\]$/.exec(link)?.[1] ?? [])
      .filter((inode) => wanted.has(inode))
    // A worker may share its parent's socket: the first that is found has the name.
    const own = held.filter((inode) => !found.has(inode))
    if (own.length === 0) continue
    // oxlint-disable-next-line no-await-in-loop
    const name = await nameOf(`${proc}/${pid}`)
    if (name !== undefined) for (const inode of own) found.set(inode, name)
  }
  return found
}

const namesIn = (path: string): Promise<readonly string[]> => readdir(path).catch(() => [])
const linkOf = (path: string): Promise<string> => readlink(path).catch(() => "")

/** What Node 24 and later call every process of theirs, which tells a reader nothing: its program does. */
const NAME_OF_NODE = "MainThread"

const nameOf = async (folder: string): Promise<string | undefined> => {
  const name = printable(await readFile(`${folder}/comm`, "utf8").catch(() => ""))
  if (name !== NAME_OF_NODE) return name
  return printable(basename(await linkOf(`${folder}/exe`)).replace(/ \(deleted\)$/, "")) ?? name
}

/** A process may call itself anything (prctl(2), PR_SET_NAME): without what a terminal or a log would act on. */
const printable = (text: string): string | undefined =>
  text.replaceAll(/[\p{C}\u2028\u2029]/gu, "").slice(0, MAX_NAME) || undefined
