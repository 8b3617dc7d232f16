/** Who may open a private port: what a platform mounts beside the policies of `./policies`. */
export { defineAccess } from "./access/define-access.ts"
export type { Access, AccessOptions } from "./access/define-access.ts"
export { portIndex } from "./access/port-index.ts"
export type { PortIndexOptions } from "./access/port-index.ts"
export type { Visitor } from "./policies/visitor.ts"
