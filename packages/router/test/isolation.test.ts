import { expect, it } from "vitest"
import { ticketVerifier } from "@project-ingress/forward"
import { fake, keys, machine, setup, stamped, values } from "./fakes.ts"

const tenants = 50
const requests = 10_000
const concurrency = 200

const attached = (tenant: number, turn: number) => `mach_${tenant}x${turn}`

/** Small, seeded: a failure can be seen again. */
const random = (seed: number) => () => {
  seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0
  return seed / 4_294_967_296
}

it(`never crosses tenants in ${requests} interleaved requests, while machines are attached anew`, async () => {
  const next = random(7)
  const pause = () => (next() < 0.3 ? new Promise<void>((resolve) => void setImmediate(resolve)) : undefined)
  const { router, routes } = setup({
    providers: [
      fake({
        resolve: async ({ externalId, id }) => {
          await pause()
          const origin = `http://${externalId.replaceAll("_", "-")}.test`
          return { origin, epoch: id, ttlMs: next() < 0.5 ? 1_000 : 0, headers: { "x-machine": id } }
        },
      }),
    ],
    answer: async (outgoing) => {
      await pause()
      const [host] = values(outgoing.headers, "x-iterate-proxy-target-host")
      const [cookie] = values(outgoing.headers, "cookie")
      const [ticket] = values(outgoing.headers, "x-iterate-proxy-ticket")
      const [id] = values(outgoing.headers, "x-machine")
      const refusal = await ticketVerifier(() => [keys.verification], id!)(ticket)
      return stamped(JSON.stringify({ host, cookie, id, refusal, origin: outgoing.origin }))
    },
  })
  for (let tenant = 0; tenant < tenants; tenant++) {
    routes.attach(`p:t${tenant}`, { machine: machine(attached(tenant, 0)) })
  }

  let left = requests
  const client = async () => {
    while (left-- > 0) {
      const tenant = Math.floor(next() * tenants)
      if (next() < 0.02) routes.attach(`p:t${tenant}`, { machine: machine(attached(tenant, Math.floor(next() * 5))) })
      const response = await router.fetch(
        new Request(`http://t${tenant}.iterate.app/`, { headers: { cookie: `tenant=${tenant}` } }),
      )
      const seen = (await response!.json()) as Record<string, string | undefined>
      if (
        seen["host"] !== `3000__t${tenant}.iterate.app` ||
        seen["cookie"] !== `tenant=${tenant}` ||
        !seen["id"]!.startsWith(`mach_${tenant}x`) ||
        seen["origin"] !== `http://ext-${seen["id"]!.replaceAll("_", "-")}.test` ||
        seen["refusal"] !== undefined
      ) {
        throw new Error(`tenant ${tenant} got ${JSON.stringify(seen)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client))
  expect(left).toBeLessThanOrEqual(0)
}, 60_000)
