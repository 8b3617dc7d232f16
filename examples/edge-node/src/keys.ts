/** Prints a new signing key. Every edge of every region has the same one; it is a secret. */
import { generateTicketKeys } from "@project-ingress/forward"

const { signing } = await generateTicketKeys(new Date().toISOString().slice(0, 10))
console.log(JSON.stringify(signing))
