import { defineGrammar } from "../src/hostname.ts"

/** The grammar of hostnames.json, written out so that its types hold. */
export const grammar = defineGrammar({
  domains: ["iterate.app", "dev-x.dev.iterate.com"],
  defaultPort: 3000,
  machinePrefix: "mach_",
  machinesLabel: "machines",
  services: { opencode: 4096, terminal: 4096 },
  reserved: ["org", "prj", "www"],
  maxSlugLength: 50,
})
