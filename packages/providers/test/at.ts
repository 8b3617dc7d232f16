import type { Endpoint, MachineProvider } from "../src/contract/machine-provider.ts"

/**
 * An adapter as it is, but for origins that a fake cannot have: the fake's address by the vendor's, without the vendor's rule for
 * addresses. Runs in every runtime.
 */
export const at = (provider: MachineProvider, places: Readonly<Record<string, string>>): MachineProvider => {
  const here = (given: Endpoint): Endpoint => {
    const { addresses: _, ...endpoint } = given
    const origin = places[endpoint.origin]
    if (origin === undefined) throw new Error(`there is no fake of ${endpoint.origin}`)
    return { ...endpoint, origin }
  }
  return {
    ...provider,
    resolve: async (machine, options) => here(await provider.resolve(machine, options)),
    ...(provider.start !== undefined && {
      start: async (machine, options) => {
        const told = await provider.start!(machine, options)
        return told === undefined ? undefined : here(told)
      },
    }),
  }
}
