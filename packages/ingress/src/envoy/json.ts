/** A message of Envoy's API in proto3's JSON, with the field names of its `.proto` files. */
export interface Message {
  readonly [field: string]: Json | undefined
}

export type Json = string | number | boolean | null | readonly Json[] | Message

const PREFIX = "type.googleapis.com/"

/** A message as the content of a `google.protobuf.Any`. `type`: `envoy.config.cluster.v3.Cluster`. */
export const typed = (type: string, fields: Message = {}): Message => ({ "@type": PREFIX + type, ...fields })

/** An extension by its name and its configuration. */
export const extension = (name: string, type: string, fields?: Message): Message => ({
  name,
  typed_config: typed(type, fields),
})

/** `address` may be IPv6, without brackets. */
export const socketAddress = (address: string, port: number, protocol?: "UDP"): Message => ({
  socket_address: {
    address,
    port_value: port,
    ...(protocol === undefined ? {} : { protocol }),
    // Without it, `::` does not take IPv4.
    ...(address === "::" ? { ipv4_compat: true } : {}),
  },
})

/** The name of a resource: a text in all that have one. */
export const nameOf = ({ name }: Message): string => (typeof name === "string" ? name : "")
