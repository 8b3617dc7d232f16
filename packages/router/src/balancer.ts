/**
 * How one of several machines is chosen, for `createRouter`; `serveNode` has it by itself. An entry of its own, because a Worker
 * whose routes have one machine each needs none.
 */
export { balancer } from "./balancer/make-balancer.ts"
export type { Balancer, MachineHealthEvent, MakeBalancer } from "./program/balancing.ts"
