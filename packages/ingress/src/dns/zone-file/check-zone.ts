import { execFile } from "node:child_process"

/** The checkers of DNS servers that are known here, and how each is asked about a zone. */
export const zoneCheckers = {
  // `-i local`: looks nothing up in the network.
  "named-checkzone": (zone: string, path: string) => ["-k", "fail", "-i", "local", zone, path],
  // `-v`: says what is wrong, and where.
  kzonecheck: (zone: string, path: string) => ["-v", "-o", zone, path],
  "nsd-checkzone": (zone: string, path: string) => [zone, path],
} as const

/** The checker of a DNS server, by the name of its program. */
export type ZoneChecker = keyof typeof zoneCheckers

/** What a checker has against a zone. */
export interface ZoneRefused {
  /** From 1; `undefined` where it does not say. */
  readonly line: number | undefined
  /** The name of which it complains, in lower case and without a final dot, where there is no line. */
  readonly owner: string | undefined
  readonly reason: string
}

/** Debian keeps servers and checkers in `sbin`, which is not on everybody's path. */
const PATH = `${process.env["PATH"] ?? ""}:/usr/sbin:/usr/local/sbin:/sbin`

/** Asks a server's own checker. Resolves to what it refuses, and rejects if it cannot be run. */
export const checkZone = (
  checker: ZoneChecker,
  { zone, path, folder, signal }: { zone: string; path: string; folder: string; signal: AbortSignal | undefined },
): Promise<ZoneRefused | undefined> =>
  new Promise((resolve, reject) => {
    execFile(
      checker,
      zoneCheckers[checker](`${zone}.`, path),
      {
        // Where servers look for files that are included.
        cwd: folder,
        env: { PATH, LC_ALL: "C" },
        timeout: 10_000,
        maxBuffer: 4 * 1024 * 1024,
        ...(signal && { signal }),
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve(undefined)
        if (typeof error.code !== "number") return reject(error)
        resolve(refusal(`${stderr}\n${stdout}`, path))
      },
    )
  })

const refusal = (output: string, path: string): ZoneRefused => {
  const lines = output
    .split("\n")
    .map((line) => line.trim())
    .filter((line) => line !== "" && !/\bwarning:/i.test(line))
  const placeOf = (line: string): string | undefined => {
    const at = line.indexOf(path)
    return at === -1 ? undefined : /^(?::|', line )(\d+)/.exec(line.slice(at + path.length))?.[1]
  }
  const complaint = lines.find(placeOf) ?? lines.find(ownerOf) ?? lines.find((line) => /error|fail/i.test(line)) ?? ""
  const line = placeOf(complaint)
  return {
    line: line === undefined ? undefined : Number(line),
    owner: line === undefined ? ownerOf(complaint) : undefined,
    reason: complaint.replaceAll(path, "the zone").slice(0, 300),
  }
}

/** `[llm.example.com.] another record exists beside CNAME` */
const ownerOf = (line: string): string | undefined => /^\[([^\]\s]+)\.\] /.exec(line)?.[1]?.toLowerCase()
