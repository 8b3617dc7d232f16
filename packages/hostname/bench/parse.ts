// node packages/hostname/bench/parse.ts — nanoseconds per parse, median over rounds.
import { defineGrammar, parse } from "../src/hostname.ts"

const grammar = defineGrammar({
  domains: ["iterate.app", "dev-x.dev.iterate.com"],
  services: { opencode: 4096, terminal: 4096 },
  reserved: ["org", "prj", "www"],
})

const hosts = [
  "misha.iterate.app",
  "4096__misha.iterate.app",
  "4096__My-Proj.Iterate.App:8443",
  "opencode--misha.iterate.app",
  "opencode.misha.iterate.app",
  "4096__mach_01hzyk3v9q.machines.iterate.app",
  "my-proj.dev-x.dev.iterate.com",
  "google.com",
  "[::1]:8787",
  "abc__misha.iterate.app",
  "banana_test.iterate.app",
  "a.b.c.iterate.app",
  "misha@evil.iterate.app",
  `${"a.".repeat(120)}iterate.app`,
  "a".repeat(65_536),
]

const rounds = 31
const perRound = 20_000
// A host comes from a socket as a new string each time: copies, so that no parse profits from a cached hash.
const fresh = (host: string): string[] =>
  Array.from({ length: 64 }, () => Buffer.from(host, "latin1").toString("latin1"))

let sink = 0
const measure = (host: string): number => {
  const copies = fresh(host)
  const started = process.hrtime.bigint()
  for (let n = 0; n < perRound; n++) sink += parse(grammar, copies[n & 63] ?? "")._tag.length
  return Number(process.hrtime.bigint() - started) / perRound
}

const samples = new Map<string, number[]>(hosts.map((host) => [host, []]))
// Hosts alternate, so that each is measured on code that the JIT has compiled for all of them.
for (let round = -5; round < rounds; round++) {
  for (const host of hosts) {
    const ns = measure(host)
    if (round >= 0) samples.get(host)?.push(ns)
  }
}

console.log(`node ${process.version}, ${rounds} rounds of ${perRound} parses, sink ${sink}`)
for (const [host, ns] of samples) {
  const median = ns.toSorted((a, b) => a - b)[rounds >> 1] ?? Number.NaN
  const shown = host.length > 48 ? `${host.slice(0, 24)}… (${host.length} bytes)` : host
  console.log(`${median.toFixed(0).padStart(6)} ns  ${parse(grammar, host)._tag.padEnd(18)} ${shown}`)
}
