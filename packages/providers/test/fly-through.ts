/** Shared by the tests of fly on every runtime. */
import type { Endpoint, Machine, MachineProvider } from "../src/machine-provider.ts"
import { fly } from "../src/fly.ts"

/** The adapter as it is, but for the address of Fly's edge, which a fake cannot have. */
export const flyThrough = (
  cloud: { readonly apiBase: string; readonly edgeOrigin: string },
  token: string,
): MachineProvider => {
  const real = fly({ token, apiBase: cloud.apiBase })
  return {
    ...real,
    resolve: async (machine, options): Promise<Endpoint> => ({
      ...(await real.resolve(machine, options)),
      origin: cloud.edgeOrigin,
    }),
  }
}

export const machineOf = (id: string): Machine => ({
  id: `mach_${id}`,
  type: "fly",
  externalId: id,
  metadata: { app: "pets" },
})
