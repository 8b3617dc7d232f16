import type { Endpoint, MachineProvider } from "../src/machine-provider.ts"

/** An adapter as it is, but for origins that a fake cannot have: the fake's address by the vendor's. Runs in every runtime. */
export const at = (provider: MachineProvider, places: Readonly<Record<string, string>>): MachineProvider => ({
  ...provider,
  resolve: async (machine, options): Promise<Endpoint> => {
    const endpoint = await provider.resolve(machine, options)
    const origin = places[endpoint.origin]
    if (origin === undefined) throw new Error(`there is no fake of ${endpoint.origin}`)
    return { ...endpoint, origin }
  },
})
