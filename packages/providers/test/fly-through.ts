/** Shared by the tests of fly on every runtime. */
import { fly } from "../src/adapters/fly/fly.ts"
import type { Machine, MachineProvider } from "../src/contract/machine-provider.ts"
import { at } from "./at.ts"

/** The adapter as it is, but for the address of Fly's edge, which a fake cannot have. */
export const flyThrough = (
  cloud: { readonly apiBase: string; readonly edgeOrigin: string },
  token: string,
): MachineProvider => at(fly({ token, apiBase: cloud.apiBase }), { "https://pets.fly.dev:443": cloud.edgeOrigin })

export const machineOf = (id: string): Machine => ({
  id: `mach_${id}`,
  type: "fly",
  externalId: id,
  metadata: { app: "pets" },
})
