import { defineGrammar } from "@project-ingress/hostname"
import { memoryStore } from "@project-ingress/router/stores/memory"
import { createIngresses } from "../src/control/create-ingresses.ts"
import type { Front } from "../src/fronts/front.ts"
import { memoryStorage } from "../src/storage/memory-storage.ts"

/** What the controller itself takes of a change beside 10 000 ingresses: the front here only asks for every address. */
const INGRESSES = 10_000
const ROUNDS = 21

const grammar = defineGrammar({ domains: ["iterate.app"] })
const store = memoryStore()
const storage = memoryStorage()
for (let at = 0; at <= INGRESSES; at++) {
  const metadata = { origin: `http://10.${at >> 16}.${(at >> 8) & 255}.${at & 255}` }
  store.attach(`m:mach_${at}`, {
    owner: `org_${at % 100}`,
    machine: { id: `mach_${at}`, type: "upstream", externalId: "", metadata },
  })
}

let calls = 0
const front: Front = {
  name: "front",
  plan: async ({ ingresses, address }) => {
    let asked = 0
    for (const { rules } of ingresses) {
      for (const { targets } of rules)
        for (const target of targets) if (target.kind === "machine") asked += address(target)!.length
    }
    calls += 1
    const done = async (): Promise<void> => undefined
    return { problems: [], diff: `${calls} ${asked}`, validate: done, apply: done, readBack: done, rollBack: done }
  },
}

const document = (at: number) => ({
  name: `n${at}`,
  rules: [{ match: { hostname: `h${at}.example.com` }, target: { machine: `mach_${at}`, port: 80 }, tls: true }],
})

const filling = createIngresses({ storage, grammar, store })
/** Processor time of this thread in ms: other programs do not count. */
const cpuMs = (): number => {
  const { user, system } = process.threadCpuUsage()
  return (user + system) / 1000
}
const began = cpuMs()
for (let at = 0; at < INGRESSES; at++) await filling.create(document(at), { owner: `org_${at % 100}` })
console.log(`create without fronts: ${((cpuMs() - began) / INGRESSES).toFixed(2)} ms on average`)

const ingresses = createIngresses({ storage, grammar, store, fronts: [front] })
const first = cpuMs()
await ingresses.start()
console.log(`start: ${(cpuMs() - first).toFixed(0)} ms`)

const median = async (name: string, run: () => Promise<unknown>): Promise<void> => {
  const samples: number[] = []
  for (let round = 0; round < ROUNDS; round++) {
    const from = cpuMs()
    await run()
    samples.push(cpuMs() - from)
  }
  const sorted = samples.toSorted((a, b) => a - b)
  console.log(`${name}: median ${sorted[ROUNDS >> 1]!.toFixed(0)} ms, most ${sorted.at(-1)!.toFixed(0)} ms`)
}
await median("plan (dry run)", () => ingresses.create(document(INGRESSES), { dryRun: true }))
await median("create and remove", async () => {
  await ingresses.create(document(INGRESSES))
  await ingresses.remove(`n${INGRESSES}`)
})
await median("reconcile", () => ingresses.reconcile())
await median("status", () => ingresses.status("n4711"))
