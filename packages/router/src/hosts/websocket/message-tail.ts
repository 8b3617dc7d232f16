import type { ResponseSink } from "@project-ingress/forward/sockets"

/** Who gets what follows the head of a response. */
export type MessageTail = Pick<ResponseSink, "body" | "reset" | "wanted"> & { readonly end: () => void }
