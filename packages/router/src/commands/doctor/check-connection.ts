import { connect } from "node:net"
import { networkInterfaces } from "node:os"
import { authorityOf } from "./doctor-target.ts"
import { error, ok, warning } from "./finding.ts"
import type { Finding } from "./finding.ts"

/** Why a connection failed, by Node's code; `undefined`: it was made. */
export const connectTo = (address: string, port: number, timeoutMs: number): Promise<string | undefined> =>
  new Promise((resolve) => {
    const socket = connect({ host: address, port })
    const end = (code: string | undefined): void => {
      socket.destroy()
      resolve(code)
    }
    socket.setTimeout(timeoutMs, () => end("ETIMEDOUT"))
    socket.on("connect", () => end(undefined))
    socket.on("error", ({ code }: NodeJS.ErrnoException) => end(code ?? "UNKNOWN"))
  })

/** Which of the addresses accept connections. One that does not, beside one that does, is a warning. */
export const checkConnection = async (
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
): Promise<{ readonly address?: string; readonly findings: readonly Finding[] }> => {
  const results = await Promise.all(
    addresses.map(async (address) => ({ address, code: await connectTo(address, port, timeoutMs) })),
  )
  const open = results.find(({ code }) => code === undefined)
  const closed = results.filter(({ code }) => code !== undefined)
  if (open === undefined) {
    const [first] = closed
    return { findings: first === undefined ? [] : [await failureOf(first.address, port, first.code!, timeoutMs)] }
  }
  const { address } = open
  return {
    address,
    findings: [
      ok("PORT_ACCEPTS", `port ${authorityOf(address, port)}`, "It accepts connections."),
      // `localhost` has two addresses, and most servers listen on one.
      ...closed.flatMap(({ address: other, code }) =>
        isLoopback(other)
          ? []
          : [
              warning(
                "ADDRESS_FAILS",
                `port ${authorityOf(other, port)}`,
                `It accepts no connections (${code}), while ${address} does: some visitors wait, others fail.`,
                "Remove the record of this address, or let the router listen there.",
              ),
            ],
      ),
    ],
  }
}

const failureOf = async (address: string, port: number, code: string, timeoutMs: number): Promise<Finding> => {
  const resource = `port ${authorityOf(address, port)}`
  if (code === "ECONNREFUSED") {
    const loopback =
      isOwn(address) && !isLoopback(address) ? await firstOpen(["127.0.0.1", "::1"], port, timeoutMs) : undefined
    if (loopback !== undefined) {
      return error(
        "LISTENS_ON_LOOPBACK",
        resource,
        `Nothing listens there, but something does on ${loopback}, which only this computer reaches.`,
        `Let the router listen on ${address} or on every address: listen({ port: ${port} }) without a hostname.`,
      )
    }
    return error(
      "CONNECTION_REFUSED",
      resource,
      "Nothing listens there.",
      `Start the router on port ${port}, or correct the port of the URL or of the load balancer.`,
    )
  }
  if (code === "ETIMEDOUT" || code === "EHOSTUNREACH" || code === "ENETUNREACH") {
    return error(
      "CONNECTION_TIMED_OUT",
      resource,
      `It cannot be reached (${code}).`,
      "Look at firewalls and security groups, and whether the DNS record still has the address of the router.",
    )
  }
  return error(
    "CONNECTION_FAILED",
    resource,
    `The connection failed (${code}).`,
    "Look at what stands at this address, and at its log.",
  )
}

/** The first of some addresses that accepts a connection. */
export const firstOpen = async (
  addresses: readonly string[],
  port: number,
  timeoutMs: number,
): Promise<string | undefined> => {
  const codes = await Promise.all(addresses.map((address) => connectTo(address, port, timeoutMs)))
  return addresses[codes.indexOf(undefined)]
}

export const isLoopback = (address: string): boolean => address === "::1" || address.startsWith("127.")

/** The addresses of this computer, without loopback and without those of one link. */
export const ownAddresses = (): readonly string[] =>
  Object.values(networkInterfaces()).flatMap((entries = []) =>
    entries.flatMap(({ address, internal }) => (internal || address.startsWith("fe80:") ? [] : [address])),
  )

const isOwn = (address: string): boolean => ownAddresses().includes(address)
