import type { Endpoint, MachineProvider } from "../contract/machine-provider.ts"

/** Names the host that a request was for, at the edge that {@link throughEdge} sends it to. */
export const edgeHostHeader = "x-edge-host"

/**
 * A provider whose requests go to an edge of the test's: for adapters that make an origin of a machine's id
 * (`https://8080-abc.vendor.app`), which no test can listen at. The edge at `origin`, which is `http://127.0.0.1:…`, finds the
 * host in the header {@link edgeHostHeader}; it takes the header off where the vendor's edge would use `Host`. Everything else
 * of an endpoint stays as it is, but for the rule of addresses and the pin, which are about the vendor's address.
 *
 * @example
 * throughEdge(nimbus({ apiKey }), edge.origin)
 */
export const throughEdge = (provider: MachineProvider, origin: string): MachineProvider => {
  const moved = (endpoint: Endpoint): Endpoint => ({
    ...endpoint,
    origin,
    headers: { ...endpoint.headers, [edgeHostHeader]: new URL(endpoint.origin).host },
    addresses: undefined,
    pin: undefined,
  })
  return {
    ...provider,
    resolve: async (machine, options) => moved(await provider.resolve(machine, options)),
    ...(provider.start !== undefined && {
      start: async (machine, options) => {
        const given = await provider.start!(machine, options)
        return given === undefined ? undefined : moved(given)
      },
    }),
  }
}
