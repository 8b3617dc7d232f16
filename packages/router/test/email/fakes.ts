import type { Mail, MailKeeper } from "../../src/email.ts"

export const message = "From: ann@example.com\r\nSubject: Hello\r\n\r\nHow are you?\r\n"

export const mailTo = (to: string, more: Partial<Mail> = {}): Mail => ({
  from: "ann@example.com",
  to,
  raw: new TextEncoder().encode(message),
  via: "cloudflare",
  ...more,
})

/** A keeper in memory, which can be told to fail. */
export const memoryKeeper = () => {
  const waiting = new Map<string, Mail>()
  const removed: [id: string, why: string][] = []
  const state = { fails: false }
  const keeper: MailKeeper = {
    put: async (id, mail) => {
      if (state.fails) throw new Error("storage is down: hunter2")
      waiting.set(id, mail)
    },
    list: async (limit) => [...waiting.keys()].slice(0, limit),
    get: async (id) => waiting.get(id),
    remove: async (id, why) => {
      removed.push([id, why])
      waiting.delete(id)
    },
  }
  return { keeper, waiting, removed, state }
}
