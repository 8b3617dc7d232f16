import type { Message } from "./json.ts"

/** Rules of RBAC that let in whoever comes from some networks, and nobody else. */
export const networks = (cidrs: readonly string[], permission: Message = { any: true }): Message => ({
  action: "ALLOW",
  policies: {
    networks: {
      permissions: [permission],
      principals: cidrs.length === 0 ? [{ any: true }] : cidrs.map((cidr) => ({ remote_ip: range(cidr) })),
    },
  },
})

const range = (cidr: string): Message => {
  const [address = "", length] = cidr.split("/")
  return {
    address_prefix: address,
    prefix_len: length === undefined ? (address.includes(":") ? 128 : 32) : Number(length),
  }
}
