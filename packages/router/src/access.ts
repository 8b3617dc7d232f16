/** Who may open a private port: what a platform mounts beside the policies of `./policies`. */
export { defineAccess } from "./access/define-access.ts"
export type { Access, AccessOptions } from "./access/define-access.ts"
export type { Visitor } from "./policies/visitor.ts"
export { signIn } from "./access/sign-in.ts"
export type { SignIn, SignInOptions } from "./access/sign-in.ts"
export { signInHandler } from "./access/sign-in-handler.ts"
export type { SignInHandlerOptions } from "./access/sign-in-handler.ts"
export type { SignInWordsName } from "./access/sign-in-words.ts"
