import { afterAll, beforeAll, describe, expect, it } from "vitest"
import { startSoakChain } from "../../scripts/soak/chain.ts"
import type { SoakChain } from "../../scripts/soak/chain.ts"
import { DOMAIN, tenantsOf } from "../../scripts/soak/tenant.ts"
import type { Tenant } from "../../scripts/soak/tenant.ts"
import { tokenFor, tokensIn } from "../../scripts/soak/token.ts"
import { everything } from "../requirements.ts"
import { forgedTickets, smugglingPayloads } from "./hostile-client.ts"
import { RawClient } from "./raw-client.ts"

/**
 * In `pnpm test` each 25th payload is sent, in `pnpm test:all` every one to the router's own sockets. Not by HTTP/2, whose frames say where a request ends:
 * what a client can try there is in `packages/forward/test/attacks/http2-downgrade.test.ts`.
 */
const shares = [
  ["sockets", everything ? 1 : 25],
  ["mount", everything ? 7 : 25],
] as const
const AT_ONCE = 32

const tenants = tenantsOf(2, true)
const [attacked] = tenants as [Tenant]
let chain: SoakChain

const hostOf = ({ name, hostname }: Tenant) => hostname ?? `${chain.appPort}__${name}.${DOMAIN}`

/** Of a machine proxy: its app by `hostOf`, past the router. */
const toMachine = (fields: string): string =>
  `GET / HTTP/1.1\r\nHost: x\r\nx-iterate-proxy-target-host: ${hostOf(attacked)}\r\nX-Token: ${tokenFor(0, 99_999)}\r\n${fields}Connection: close\r\n\r\n`

describe.each(shares)("a hostile client, where requests come by %s", (by, share) => {
  /** Of a mounted router, the app of the server itself. */
  let bystander: Tenant
  beforeAll(async () => {
    chain = await startSoakChain(tenants, 100_000, { by })
    bystander = chain.tenants.at(-1)!
  })
  afterAll(() => chain[Symbol.asyncDispose]())

  it("smuggles no request past the router and the machine proxy, and nobody else gets its responses", async () => {
    const payloads = smugglingPayloads({
      host: hostOf(attacked),
      token: tokenFor(0, 1),
      skipsLineFeed: by === "mount",
    })
    expect(payloads.length).toBeGreaterThan(6_374)
    const sent = payloads.filter((_, at) => at % share === 0)
    const before = await chain.appsReport()
    const wrong: string[] = []
    let next = 0
    const worker = async (): Promise<void> => {
      const beside = new RawClient(chain.routerPort)
      for (let at = next++; at < sent.length; at = next++) {
        const { name, text, pipelined } = sent[at]!
        const client = new RawClient(chain.routerPort)
        client.send(text)
        client.socket.end()
        const token = tokenFor(bystander.index, 10 + at)
        const response = await beside.ask(`GET / HTTP/1.1\r\nHost: ${hostOf(bystander)}\r\nX-Token: ${token}\r\n\r\n`)
        if (!response.endsWith(`${bystander.name} ${token}`)) wrong.push(`${name}: the bystander got ${response}`)
        const own = await client.when(() => false)
        const responses = own.match(/^x-app:/gim)?.length ?? 0
        if (responses > 1 && !pipelined) wrong.push(`${name}: two responses`)
        if (tokensIn(own).some((found) => found !== tokenFor(0, 1))) wrong.push(`${name}: got ${own}`)
        client.close()
      }
      beside.close()
    }
    await Promise.all(Array.from({ length: AT_ONCE }, worker))
    expect(wrong).toEqual([])
    const after = await chain.appsReport()
    expect(after).toMatchObject({ smuggled: 0, strayed: 0 })
    // Of each payload one request, and one of the bystander.
    const followed = sent.filter(({ pipelined }) => pipelined).length
    expect(after.seen - before.seen).toBeLessThanOrEqual(sent.length * 2 + followed)
    expect(chain.processes.filter((process) => !process.alive())).toEqual([])
  })

  it("opens nothing with a forged ticket: every kind is refused before the app", async () => {
    const { seen } = await chain.appsReport()
    const forged = forgedTickets(await chain.ticketFor(tenants[1]!), attacked.machine, chain.publicKey)
    expect(forged.length).toBeGreaterThan(43)
    const accepted: string[] = []
    for (const { name, values } of forged) {
      const client = new RawClient(chain.machinePorts[attacked.index]!)
      const fields = values.map((value) => `x-iterate-proxy-ticket: ${value}\r\n`).join("")
      const text = await client.ask(toMachine(fields))
      if (!/^HTTP\/1\.1 (?:400|401|421|431) /.test(text)) accepted.push(`${name}: ${text.slice(0, 100)}`)
      client.close()
    }
    expect(accepted).toEqual([])
    expect((await chain.appsReport()).seen).toBe(seen)
  })

  it("opens the port with a true one", async () => {
    const client = new RawClient(chain.machinePorts[attacked.index]!)
    const text = await client.ask(toMachine(`x-iterate-proxy-ticket: ${await chain.ticketFor(attacked)}\r\n`))
    expect(text).toMatch(/^HTTP\/1\.1 200 OK\r\n/)
    client.close()
  })
})
