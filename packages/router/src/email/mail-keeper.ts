import type { Mail } from "./mail.ts"

/**
 * Where mail waits until its machine has taken it. It is put there before the first attempt, so that none is lost whatever ends the
 * process.
 */
export interface MailKeeper {
  /** Keeps a mail under its id. Again for the same id it changes nothing. */
  readonly put: (id: string, mail: Mail) => Promise<void>
  /**
   * Ids of mail that waits, at most `limit`. Each of them must have its turn, whatever else waits: whoever sends many to a project that never
   * wakes must not keep those of others from being tried.
   */
  readonly list: (limit: number) => Promise<readonly string[]>
  readonly get: (id: string) => Promise<Mail | undefined>
  /** The mail waits no longer. What an app rejected after its sender learned that it arrived is better moved than deleted. */
  readonly remove: (id: string, why: "delivered" | "rejected") => Promise<void>
}

/** The part of a Workers R2 bucket that is used. */
export interface MailBucket {
  readonly put: (
    key: string,
    value: Uint8Array,
    options: { readonly customMetadata: Record<string, string> },
  ) => Promise<unknown>
  readonly get: (
    key: string,
  ) => Promise<{ readonly customMetadata?: Record<string, string>; arrayBuffer(): Promise<ArrayBuffer> } | null>
  readonly list: (options: {
    readonly prefix: string
    readonly limit: number
    readonly startAfter?: string
  }) => Promise<{ readonly objects: readonly { readonly key: string }[] }>
  readonly delete: (key: string) => Promise<void>
}

const waiting = (id: string): string => `mail/waiting/${id}`

/** Keeps mail in an R2 bucket: what waits under `mail/waiting/`, what an app rejected later under `mail/rejected/`. */
export const r2MailKeeper = (bucket: MailBucket): MailKeeper => {
  const read = async (key: string): Promise<Mail | undefined> => {
    const found = await bucket.get(key)
    if (found === null) return undefined
    const { from = "", to = "", via = "cloudflare" } = found.customMetadata ?? {}
    return { from, to, via: via as Mail["via"], raw: new Uint8Array(await found.arrayBuffer()) }
  }
  const write = (key: string, { from, to, via, raw }: Mail): Promise<unknown> =>
    bucket.put(key, raw, { customMetadata: { from, to, via } })
  return {
    put: async (id, mail) => void (await write(waiting(id), mail)),
    get: (id) => read(waiting(id)),
    list: async (limit) => {
      // Ids are hashes: from any place among them on, none is before the others for long.
      const from = waiting(
        Math.floor(Math.random() * 0x1_0000_0000)
          .toString(16)
          .padStart(8, "0"),
      )
      const { objects: later } = await bucket.list({ prefix: waiting(""), limit, startAfter: from })
      const left = limit - later.length
      const { objects: first } = left > 0 ? await bucket.list({ prefix: waiting(""), limit: left }) : { objects: [] }
      const keys = new Set([...later, ...first].map(({ key }) => key))
      return [...keys].map((key) => key.slice(waiting("").length))
    },
    remove: async (id, why) => {
      if (why === "rejected") {
        const mail = await read(waiting(id))
        if (mail !== undefined) await write(`mail/rejected/${id}`, mail)
      }
      await bucket.delete(waiting(id))
    },
  }
}
