import { defineGrammar } from "@project-ingress/hostname"

/** `misha.localhost`, `4096__misha.localhost`: the same in every region, and where routes are written. */
export const grammar = defineGrammar({ domains: ["localhost"] })
