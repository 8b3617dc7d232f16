import { makeBudget } from "@project-ingress/forward/internal"
import type { Budget } from "@project-ingress/forward/internal"

/**
 * How much work elsewhere the failures of one machine may cause: calls of its vendor, look-ups past every cache. Whoever is root
 * in a machine decides how its requests fail, and a visitor how many there are. A machine that moves needs one or two.
 */
export const makeFailureBudget = (): Budget => makeBudget({ burst: 10, refillMs: 1_000 })
