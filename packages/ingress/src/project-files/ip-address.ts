import { canonicalAddress } from "@project-ingress/router/internal"

/** Four decimal numbers, without leading zeros, which some read as octal. */
export const isIPv4 = (text: string): boolean => !text.includes(":") && canonicalAddress(text) !== undefined

/** Without brackets and zone. */
export const isIPv6 = (text: string): boolean => text.includes(":") && canonicalAddress(text) !== undefined
