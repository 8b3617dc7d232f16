// Bundled and run in workerd by cloudflare-email.test.ts: mail of Cloudflare Email Routing for a machine outside.
import type { SigningKey } from "@project-ingress/forward"
import { defineGrammar } from "@project-ingress/hostname"
import { emailHandler, mailReceiver, r2MailKeeper, resendWebhook } from "../../src/email.ts"
import type { EmailMessage, MailBucket, MailEvent, MailReceiver } from "../../src/email.ts"
import { createRouter } from "../../src/router.ts"
import { memoryStore } from "../../src/stores/memory.ts"

interface Environment {
  readonly SIGNING_KEY: SigningKey
  readonly MACHINE: string
  readonly PORT: number
  readonly MAIL?: MailBucket
  /** Resend's API. */
  readonly RESEND: string
}

const events: MailEvent[] = []
let made: MailReceiver | undefined

const receiver = ({ SIGNING_KEY, MACHINE, PORT, MAIL }: Environment): MailReceiver => {
  const grammar = defineGrammar({ domains: ["iterate.app"] })
  const router = createRouter({
    grammar,
    store: memoryStore({
      "p:misha": {
        machine: { id: "mach_1", type: "fake", externalId: "one", metadata: {} },
        services: { mail: PORT },
      },
    }),
    providers: [
      {
        type: "fake",
        capabilities: { runtimes: ["workerd"], webSocket: true, wake: "none", ports: "any", interceptedHeaders: [] },
        resolve: async () => ({ origin: MACHINE, epoch: "1", ttlMs: 0 }),
      },
    ],
    signingKey: SIGNING_KEY,
  })
  return mailReceiver(router, {
    grammar,
    maxBytes: 100_000,
    onEvent: (event) => events.push(event),
    ...(MAIL === undefined ? {} : { keeper: r2MailKeeper(MAIL) }),
  })
}

export default {
  email: async (message: EmailMessage, env: Environment, context: never): Promise<void> => {
    // miniflare responds 200 also after setReject.
    const spied = Object.assign(Object.create(null) as EmailMessage, {
      from: message.from,
      to: message.to,
      raw: message.raw,
      rawSize: message.rawSize,
      setReject: (reason: string) => {
        rejections.push(reason)
        message.setReject(reason)
      },
    })
    await emailHandler((made ??= receiver(env)))(spied, env, context)
  },
  fetch: async (request: Request, env: Environment): Promise<Response> => {
    if (request.url.endsWith("/retry")) return Response.json(await (made ??= receiver(env)).retry())
    if (request.url.endsWith("/resend")) {
      const options = { secret: `whsec_${btoa("x".repeat(32))}`, apiKey: "k", api: env.RESEND, downloads: "localhost" }
      return resendWebhook((made ??= receiver(env)), options)(request)
    }
    return Response.json({ events, rejections })
  },
}

const rejections: string[] = []
