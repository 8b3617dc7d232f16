import { expect, it } from "vitest"
import { ticketVerifier } from "@project-ingress/forward"
import { fake, keys, machine, setup, stamped, values } from "./fakes.ts"

const tenants = 50
const requests = 10_000
const concurrency = 200

const attached = (tenant: number, turn: number) => `mach_${tenant}x${turn}`

/** Another one in each run; a failure names it, and `INGRESS_SEED=<seed>` makes the same decisions again. */
const seed = process.env["INGRESS_SEED"] ?? String(Date.now())

/**
 * A number from 0 up to 1 for one decision. By its name and not by the order in which decisions are made: requests interleave
 * differently in each run, and the same request must decide the same.
 */
const chance = (decision: string): number => {
  let hash = 0x811c9dc5
  for (const character of `${seed} ${decision}`) hash = Math.imul(hash ^ character.charCodeAt(0), 0x01000193)
  hash = Math.imul(hash ^ (hash >>> 16), 0x45d9f3b)
  return ((hash ^ (hash >>> 16)) >>> 0) / 0x1_0000_0000
}

/** Numbers the calls of each kind. */
const counter = () => {
  const calls = new Map<string, number>()
  return (kind: string): string => {
    const call = (calls.get(kind) ?? 0) + 1
    calls.set(kind, call)
    return `${kind} ${call}`
  }
}

it("decides the same for the same seed, evenly", () => {
  const drawn = Array.from({ length: 10_000 }, (_, i) => chance(`draw ${i}`))
  expect(drawn).toEqual(Array.from({ length: 10_000 }, (_, i) => chance(`draw ${i}`)))
  const below = drawn.filter((each) => each < 0.3).length
  // 3 000 are expected; 7 standard deviations are 321.
  expect(Math.abs(below - 3_000)).toBeLessThan(321)
})

it(`never crosses tenants in ${requests} interleaved requests, while machines are attached anew`, async () => {
  const call = counter()
  const pause = (kind: string) =>
    chance(call(`pause ${kind}`)) < 0.3 ? new Promise<void>((resolve) => void setImmediate(resolve)) : undefined
  const { router, routes } = setup({
    providers: [
      fake({
        resolve: async ({ externalId, id }) => {
          await pause(id)
          const origin = `http://${externalId.replaceAll("_", "-")}.test`
          return {
            origin,
            epoch: id,
            ttlMs: chance(call(`keep ${id}`)) < 0.5 ? 1_000 : 0,
            headers: { "x-machine": id },
          }
        },
      }),
    ],
    answer: async (outgoing) => {
      const [host] = values(outgoing.headers, "x-iterate-proxy-target-host")
      const [cookie] = values(outgoing.headers, "cookie")
      const [ticket] = values(outgoing.headers, "x-iterate-proxy-ticket")
      const [id] = values(outgoing.headers, "x-machine")
      await pause(`response ${id}`)
      const verified = await ticketVerifier(() => [keys.verification], id!)(ticket)
      return stamped(
        JSON.stringify({ host, cookie, id, ...("refusal" in verified ? verified : {}), origin: outgoing.origin }),
      )
    },
  })
  for (let tenant = 0; tenant < tenants; tenant++) {
    routes.attach(`p:t${tenant}`, { machine: machine(attached(tenant, 0)) })
  }

  let left = requests
  const client = async () => {
    while (left-- > 0) {
      const number = requests - left
      const tenant = Math.floor(chance(`tenant ${number}`) * tenants)
      if (chance(`attach ${number}`) < 0.02) {
        const turn = Math.floor(chance(`machine ${number}`) * 5)
        routes.attach(`p:t${tenant}`, { machine: machine(attached(tenant, turn)) })
      }
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
        throw new Error(`seed ${seed}, request ${number}: tenant ${tenant} got ${JSON.stringify(seen)}`)
      }
    }
  }
  await Promise.all(Array.from({ length: concurrency }, client))
  expect(left).toBeLessThanOrEqual(0)
}, 60_000)
